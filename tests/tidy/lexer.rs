//! Tells code from comments and literals, line by line, as far as the rules need it.

/// What is open at the end of a line.
#[derive(Clone, Copy)]
enum Mode {
    Code,
    Text,
    RawText { hashes: usize },
    Block { depth: usize },
}

/// One line, taken apart. Literals are emptied: a word in a string is not a word of the program.
#[derive(Debug, Default)]
pub(crate) struct Split {
    pub(crate) code: String,
    pub(crate) comment: String,
}

/// Splits a whole file. Knows strings, raw strings, characters, lifetimes and nested block comments.
pub(crate) fn split(text: &str) -> Vec<Split> {
    let mut mode = Mode::Code;
    text.lines()
        .map(|line| {
            let mut split = Split::default();
            mode = split_line(mode, line, &mut split);
            split
        })
        .collect()
}

fn split_line(mut mode: Mode, line: &str, split: &mut Split) -> Mode {
    let mut rest = line;
    while !rest.is_empty() {
        let taken;
        (mode, taken) = match mode {
            Mode::Code if rest.starts_with("//") => {
                split.comment.push_str(rest);
                (mode, rest.len())
            }
            Mode::Code => step_in_code(rest, &mut split.code),
            Mode::Text => step_in_text(rest, &mut split.code),
            Mode::RawText { hashes } => step_in_raw_text(rest, hashes, &mut split.code),
            Mode::Block { depth } => step_in_block(rest, depth, &mut split.comment),
        };
        rest = &rest[taken.min(rest.len())..];
    }
    mode
}

fn step_in_code(rest: &str, code: &mut String) -> (Mode, usize) {
    if rest.starts_with("/*") {
        return (Mode::Block { depth: 1 }, 2);
    }
    if let Some(taken) = character_literal(rest) {
        code.push_str("''");
        return (Mode::Code, taken);
    }
    let in_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if let Some((hashes, taken)) = raw_text_opening(rest).filter(|_| !in_word) {
        code.push('"');
        return (Mode::RawText { hashes }, taken);
    }
    let taken = first_len(rest);
    code.push_str(&rest[..taken]);
    match rest.starts_with('"') {
        true => (Mode::Text, taken),
        false => (Mode::Code, taken),
    }
}

fn step_in_text(rest: &str, code: &mut String) -> (Mode, usize) {
    match rest.chars().next() {
        Some('"') => {
            code.push('"');
            (Mode::Code, 1)
        }
        Some('\\') => (
            Mode::Text,
            1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        ),
        _ => (Mode::Text, first_len(rest)),
    }
}

fn step_in_raw_text(rest: &str, hashes: usize, code: &mut String) -> (Mode, usize) {
    let closing = rest
        .strip_prefix('"')
        .is_some_and(|after| after.bytes().take_while(|b| *b == b'#').count() >= hashes);
    if closing {
        code.push('"');
        return (Mode::Code, 1 + hashes);
    }
    (Mode::RawText { hashes }, first_len(rest))
}

fn step_in_block(rest: &str, depth: usize, comment: &mut String) -> (Mode, usize) {
    if rest.starts_with("*/") {
        return match depth {
            1 => (Mode::Code, 2),
            _ => (Mode::Block { depth: depth - 1 }, 2),
        };
    }
    if rest.starts_with("/*") {
        return (Mode::Block { depth: depth + 1 }, 2);
    }
    let taken = first_len(rest);
    comment.push_str(&rest[..taken]);
    (Mode::Block { depth }, taken)
}

/// Returns the number of hashes and the length of `r#"`, `br"` and their like at the start of `rest`.
fn raw_text_opening(rest: &str) -> Option<(usize, usize)> {
    let letters = ["br", "cr", "r"]
        .into_iter()
        .find(|p| rest.starts_with(p))?;
    let hashes = rest[letters.len()..]
        .bytes()
        .take_while(|b| *b == b'#')
        .count();
    let length = letters.len() + hashes;
    rest[length..]
        .starts_with('"')
        .then_some((hashes, length + 1))
}

/// Returns the length of the character literal at the start of `rest`; a lifetime is none.
fn character_literal(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let escaped = first_len(escape);
        return Some(2 + escaped + escape[escaped..].find('\'')? + 1);
    }
    let one = first_len(inside);
    inside[one..].starts_with('\'').then_some(one + 2)
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[test]
fn code_is_told_from_comments_and_literals() {
    fn check(text: &str, code: &[&str], comments: &[&str]) {
        let lines = split(text);
        assert_eq!(lines.iter().map(|l| &*l.code).collect::<Vec<_>>(), code);
        assert_eq!(
            lines.iter().map(|l| &*l.comment).collect::<Vec<_>>(),
            comments
        );
    }
    check("a(); // b", &["a(); "], &["// b"]);
    check(r#"a("// b \" c"); d"#, &[r#"a(""); d"#], &[""]);
    check("a(r#\"b \" // c\"#); d", &["a(\"\"); d"], &[""]);
    check("a(\"b\nc // d\"); // e", &["a(\"", "\"); "], &["", "// e"]);
    check("var\"b\"", &["var\"\""], &[""]);
    check(
        "a /* b /* c */ d\ne */ f",
        &["a ", " f"],
        &[" b  c  d", "e "],
    );
    check(
        r"['{', '\'', '\u{7d}', 'é'] 'a 'static",
        &["['', '', '', ''] 'a 'static"],
        &[""],
    );
}
