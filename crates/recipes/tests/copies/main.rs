//! The recipes of the docs as a reader copies them, without the lines that rustdoc hides. This
//! program compiles them. The tests of the docs run them.

#![expect(unused, reason = "a recipe ends before its result is used")]
#![expect(clippy::too_many_lines, reason = "a recipe is in one function here")]

include!(concat!(env!("OUT_DIR"), "/copies.rs"));
