//! Asks before something that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, bail, ensure};

use crate::plan::Plan;

/// Asks whether to go on where the plan has a question; `confirmed` answers beforehand.
///
/// # Errors
///
/// Fails where the answer is no, and where there is nobody to ask.
pub(crate) fn confirm(plan: &Plan, confirmed: bool) -> Result<()> {
    let questions = plan.questions();
    if confirmed || questions.is_empty() {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let questions = questions.join("; ");
        bail!("{questions}; nobody can be asked without a terminal: if that is wanted, add --yes");
    }
    ensure!(
        ask(io::stderr(), io::stdin().lock())?,
        "not confirmed; nothing was sent"
    );
    Ok(())
}

/// Asks only whether: the plan above has said what may happen.
fn ask(mut question: impl Write, mut answer: impl BufRead) -> io::Result<bool> {
    write!(question, "Go on? [y/N] ")?;
    question.flush()?;
    let mut line = String::new();
    answer.read_line(&mut line)?;
    Ok(matches!(
        line.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expected: bool) {
        let mut asked = Vec::new();
        let found = ask(&mut asked, answer.as_bytes()).unwrap();
        assert_eq!(found, expected, "{answer:?}");
        assert_eq!(String::from_utf8(asked).unwrap(), "Go on? [y/N] ");
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
