//! Asks before something that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, bail, ensure};

use crate::plan::Plan;

const PROMPT: &str = "Continue? [y/N] ";

/// Asks whether to continue if the plan has a question; `confirmed` answers it beforehand.
///
/// # Errors
///
/// Fails if the answer is no, and if the standard input is no terminal.
pub(crate) fn confirm(plan: &Plan, confirmed: bool) -> Result<()> {
    let questions = plan.questions();
    if confirmed || questions.is_empty() {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!(
            "{}; nothing was sent, because there is no terminal to ask for confirmation; check \
             this, then add --yes",
            questions.join("; ")
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
