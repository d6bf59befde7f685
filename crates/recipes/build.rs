//! Writes the recipes as a reader of the docs copies them: without the lines that rustdoc hides.

use std::path::Path;
use std::{env, fs, io};

const PAGES: &str = "../tower-pace/docs";

fn main() -> io::Result<()> {
    let mut copies = String::new();
    for page in ["apis", "applications", "clients", "processes"] {
        let path = format!("{PAGES}/{page}.md");
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(path)?;
        // Every other part is a block of code. One in another language has its name first.
        let blocks = text.split("```\n").skip(1).step_by(2);
        for (number, block) in blocks.enumerate() {
            let shown = block
                .lines()
                .filter(|line| *line != "#" && !line.starts_with("# "));
            let shown: Vec<_> = shown.collect();
            copies += &format!(
                "async fn {page}_{number}(url: String) -> Result<(), Box<dyn std::error::Error + Send \
                 + Sync>> {{\n{}\nOk(())\n}}\n",
                shown.join("\n")
            );
        }
    }
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("copies.rs"), copies)
}
