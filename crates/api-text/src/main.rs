//! Keeps the public API of each published library as text, in `crates/<name>/api.txt`.
//!
//! `cargo run -p api-text -- --check` fails if a text differs from the code, and prints the lines
//! that differ. `cargo run -p api-text -- --write` writes the texts. A change of the public API is
//! then a change of a file, which a reviewer sees.
//!
//! Rustdoc's JSON is unstable: each compiler writes one version of it, and the crate `public-api`
//! reads one. Where the two differ the check is skipped, and says so.

#![warn(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use public_api::Builder;
use serde::Deserialize;

const USAGE: &str = "usage: cargo run -p api-text -- (--check | --write)";
const HOW_TO_WRITE: &str = "If the change is meant, write the texts anew and commit them:
    cargo run -p api-text -- --write";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let write = match arguments.as_slice() {
        [one] if one == "--write" => true,
        [one] if one == "--check" => false,
        _ => anyhow::bail!(USAGE),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut differ = false;
    for name in published_libraries(&root)? {
        let json = rustdoc_json(&root, &name)?;
        let found = format_version(&json)?;
        if found != rustdoc_types::FORMAT_VERSION {
            println!(
                "public API: skipped, this rustdoc writes JSON of format {found}, and api-text \
                 reads {}. Change the version of `public-api` in Cargo.toml to one that reads \
                 {found}.",
                rustdoc_types::FORMAT_VERSION
            );
            return Ok(ExitCode::SUCCESS);
        }
        let text = api_text(&json).with_context(|| format!("cannot read the JSON of {name}"))?;
        let path = format!("crates/{name}/api.txt");
        let kept = fs::read_to_string(root.join(&path)).unwrap_or_default();
        if kept == text {
            println!("{path}: {} lines, as in the code", text.lines().count());
        } else if write {
            fs::write(root.join(&path), &text).with_context(|| format!("cannot write {path}"))?;
            println!("{path}: {} lines, written", text.lines().count());
        } else {
            println!(
                "{path}: differs from the code\n{}",
                difference(&kept, &text)
            );
            differ = true;
        }
    }
    if differ {
        println!("{HOW_TO_WRITE}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the names of the published crates that have a library, sorted.
fn published_libraries(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
            continue;
        };
        let is_published = !manifest.lines().any(|line| line == "publish = false");
        if is_published && folder.join("src/lib.rs").exists() {
            let name = folder.file_name().context("a crate has a folder")?;
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Runs rustdoc with all features on and returns the path of the JSON that it wrote.
fn rustdoc_json(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    // The docs as HTML stay where they are, and the checked dependencies of both are the same.
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .env(
            "RUSTDOC",
            root.join("crates/api-text/rustdoc").canonicalize()?,
        )
        .env_remove("RUSTDOCFLAGS")
        .args([
            "rustdoc",
            "--quiet",
            "--locked",
            "--lib",
            "--all-features",
            "-p",
            name,
            "--",
        ])
        .args([
            "-Z",
            "unstable-options",
            "--output-format",
            "json",
            "--cap-lints",
            "allow",
        ])
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "cargo rustdoc failed for {name}: its errors are above"
    );
    Ok(target
        .join("doc")
        .join(name.replace('-', "_"))
        .with_extension("json"))
}

/// Returns the version of the format of a file that rustdoc wrote.
fn format_version(json: &Path) -> anyhow::Result<u32> {
    #[derive(Deserialize)]
    struct Head {
        format_version: u32,
    }
    let text =
        fs::read_to_string(json).with_context(|| format!("cannot read {}", json.display()))?;
    Ok(serde_json::from_str::<Head>(&text)?.format_version)
}

/// Returns the public API, one item a line, in the order of the paths.
fn api_text(json: &Path) -> anyhow::Result<String> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .build()?;
    // An item that is exported again is listed again, word for word.
    let mut seen = BTreeSet::new();
    let lines = api.items().map(|item| format!("{item}\n"));
    Ok(lines
        .filter(|line| !is_noise(line) && seen.insert(line.clone()))
        .collect())
}

/// Returns whether a line is about a trait that the compiler implements, and tells a user nothing.
///
/// Nearly every type is `Send`, `Sync` and `Unpin`, so only the lines that deny it are kept: a type
/// that loses `Send` adds one. The other such traits are unstable or, as unwind safety, seldom
/// used.
fn is_noise(line: &str) -> bool {
    let Some((_, name)) = line.split_once("core::marker::") else {
        return line.starts_with("impl") && line.contains("core::panic::unwind_safe::");
    };
    let is_of = |names: &[&str]| {
        line.starts_with("impl")
            && names
                .iter()
                .any(|of| name.starts_with(&format!("{of} for ")))
    };
    let denies = line.contains("!core::marker::");
    is_of(&["Freeze", "StructuralPartialEq", "UnsafeUnpin"])
        || (is_of(&["Send", "Sync", "Unpin"]) && !denies)
}

/// Returns the lines that only one of two texts has, marked as `diff` does it.
fn difference(kept: &str, found: &str) -> String {
    let (kept, found): (BTreeSet<_>, BTreeSet<_>) =
        (kept.lines().collect(), found.lines().collect());
    let lines = kept.symmetric_difference(&found);
    lines
        .map(|line| format!("{} {line}\n", if found.contains(line) { '+' } else { '-' }))
        .collect()
}
