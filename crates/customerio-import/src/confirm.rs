//! Asks before something that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, bail, ensure};

use crate::plan::Plan;

const PROMPT: &str = "Continue? [y/N] ";

/// Asks whether to send the records of the plan; `confirmed` answers beforehand.
///
/// # Errors
///
/// Fails if the answer is no, if the standard input is no terminal, and if it is the input.
pub(crate) fn confirm(plan: &Plan, confirmed: bool) -> Result<()> {
    if confirmed {
        return Ok(());
    }
    let questions = plan.questions();
    let prefix = match questions.is_empty() {
        true => String::new(),
        false => format!("{}; ", questions.join("; ")),
    };
    if plan.is_stdin() {
        bail!(
            "{prefix}nothing was sent, because the records come from the standard input, which \
             can therefore not be asked for confirmation; check the file with --dry-run, then add \
             --yes"
        );
    }
    if !io::stdin().is_terminal() {
        bail!(
            "{prefix}nothing was sent, because there is no terminal to ask for confirmation; \
             check the plan, then add --yes"
        );
    }
    ensure!(
        ask(io::stderr(), io::stdin().lock())?,
        "not confirmed; nothing was sent"
    );
    Ok(())
}

/// Asks for yes or no: the plan, printed above, has the details.
fn ask(mut question: impl Write, mut answer: impl BufRead) -> io::Result<bool> {
    question.write_all(PROMPT.as_bytes())?;
    question.flush()?;
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let answer = line.trim().to_ascii_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expected: bool) {
        let mut asked = Vec::new();
        let found = ask(&mut asked, answer.as_bytes()).unwrap();
        assert_eq!(found, expected, "{answer:?}");
        assert_eq!(String::from_utf8(asked).unwrap(), PROMPT);
    }

    #[test]
    fn only_yes_is_yes() {
        check("y\n", true);
        check(" Yes \n", true);
        check("no\n", false);
        check("\n", false);
        check("", false);
    }
}
