//! Completions for shells and manual pages, both generated from the definition of the arguments.

use std::io;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Args;
use crate::console::print_output;
use crate::report::Exit;

const NOT_PRINTED: &str = "cannot write to the standard output";

/// Prints a script that completes commands and flags in a shell.
pub(crate) fn print_completions(shell: Shell) -> Result<Exit> {
    print(completions(shell))
}

/// Prints the manual page of a command, or of the program.
///
/// # Errors
///
/// Fails if there is no such command.
pub(crate) fn print_page(command: Option<&str>) -> Result<Exit> {
    print(page(command)?)
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut definition = Args::command();
    let name = definition.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition, name, &mut script);
    script
}

fn page(command: Option<&str>) -> Result<Vec<u8>> {
    let mut definition = Args::command().disable_help_subcommand(true);
    // Gives each command its whole name: `cio-import people`, and `cio-import-people` as the title.
    definition.build();
    let definition = match command {
        None => definition,
        Some(name) => {
            let found = definition.find_subcommand(name).cloned();
            found.with_context(|| {
                format!("there is no command {name:?}; cio-import --help lists the commands")
            })?
        }
    };
    let mut page = Vec::new();
    let man = Man::new(definition).source(concat!("cio-import ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page)?;
    Ok(page)
}

fn print(text: Vec<u8>) -> Result<Exit> {
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    print_output(text.trim_end()).context(NOT_PRINTED)?;
    Ok(Exit::Complete)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// Returns the names of all commands and the long flags of `people`.
    fn names() -> Vec<String> {
        let definition = Args::command();
        let commands = definition.get_subcommands();
        let mut names: Vec<_> = commands
            .map(|command| command.get_name().to_owned())
            .collect();
        let people = definition.find_subcommand("people").unwrap();
        names.extend(
            people
                .get_opts()
                .filter_map(|flag| flag.get_long())
                .map(str::to_owned),
        );
        names
    }

    #[test]
    fn each_shell_completes_every_command_and_flag() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(completions(*shell)).unwrap();
            for name in names() {
                assert!(script.contains(&name), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn each_command_has_a_page_with_its_flags() {
        let program = String::from_utf8(page(None).unwrap()).unwrap();
        assert!(program.contains(".TH cio-import 1"), "{program}");
        assert!(program.contains("Exit codes"), "{program}");
        for command in Args::command().get_subcommands() {
            let name = command.get_name();
            assert!(
                program.contains(&format!("cio\\-import\\-{name}(1)")),
                "{name}"
            );
            let page = String::from_utf8(page(Some(name)).unwrap()).unwrap();
            assert!(page.contains(&format!(".TH cio-import-{name} 1")), "{page}");
            for flag in command.get_opts().filter_map(|flag| flag.get_long()) {
                let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(page.contains(&flag), "{name} {flag}: {page}");
            }
        }
    }

    #[test]
    fn an_unknown_command_has_no_page() {
        let error = page(Some("peple")).unwrap_err().to_string();
        assert!(error.contains("no command \"peple\""), "{error}");
    }
}
