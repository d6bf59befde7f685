/// Counts lines as editors do: CR, LF and CRLF each end one.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineCount {
    line: u64,
    after_cr: bool,
}

impl LineCount {
    pub(super) const fn new() -> Self {
        Self {
            line: 1,
            after_cr: false,
        }
    }

    /// Returns the line of the next byte, counted from 1.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// Returns whether `byte` is the second half of a CRLF: its CR has ended the line already.
    pub(super) const fn completes_crlf(&self, byte: u8) -> bool {
        self.after_cr && byte == b'\n'
    }

    /// Counts a byte that was read.
    pub(super) const fn observe(&mut self, byte: u8) {
        let ends_line = matches!(byte, b'\r' | b'\n') && !self.completes_crlf(byte);
        self.line += ends_line as u64;
        self.after_cr = byte == b'\r';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_break_ends_one_line() {
        let check = |text: &str, expected| {
            let mut count = LineCount::new();
            text.bytes().for_each(|byte| count.observe(byte));
            assert_eq!(count.line(), expected, "{text:?}");
        };
        check("", 1);
        check("a\nb", 2);
        check("a\rb\rc", 3);
        check("a\r\nb\r\n", 3);
        check("a\r\r\nb", 3);
        check("a\n\rb", 3);
    }
}
