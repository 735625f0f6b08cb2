//! The rules of the house that a compiler does not know: floors, file heads, file lengths, and words that must not be left
//! in the tree.
//!
//! A module imports only modules of lower floors, which are those that a request has already passed, or itself. What counts
//! as an import is every `crate::…` path in code, wherever it stands; comments and strings do not count. `lib.rs` and
//! `main.rs` stand above all floors.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every module with its floor. Two on one floor know nothing of each other.
const FLOORS: &[(&str, u8)] = &[
    ("types", 0),
    ("eventstream", 1),
    ("sigv4", 1),
    ("http1", 1),
    ("bedrock", 2),
    ("identity", 3),
    ("profiles", 4),
    ("policy", 5),
    ("guardrail", 6),
    ("budget", 7),
    ("limits", 7),
    ("upstream", 8),
    ("telemetry", 9),
    ("gateway", 10),
    ("server", 11),
    ("admin", 12),
    ("config", 13),
    ("mock", 13),
    ("cli", 14),
];

/// The longest a file may be; before that it is split.
const MOST_LINES: usize = 400;

#[test]
fn every_import_goes_down() {
    let wrong = faults(&sources("src"), |path, text| {
        let Some(own) = module(path) else { return Vec::new() };
        let Some(own_floor) = floor(&own) else { return vec![format!("{own} has no floor: give it one in this test")] };
        let code = code(text);
        let mut wrong = Vec::new();
        for name in imports(&code) {
            match floor(&name) {
                None => wrong.push(format!("crate::{name} is no module with a floor")),
                Some(floor) if floor < own_floor || name == own => {}
                Some(floor) => wrong.push(format!("{own} (floor {own_floor}) imports {name} (floor {floor})")),
            }
        }
        if climbs_out(path, &code) {
            wrong.push("a chain of super:: leaves the module: write crate::… where the test can see it".to_owned());
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let wrong = faults(&sources("src"), |_, text| {
        let said = text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > "//! ".len());
        if said { Vec::new() } else { vec!["the first line is no //! sentence".to_owned()] }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_source_file_grows_too_long() {
    let wrong = faults(&sources("src"), |_, text| {
        let lines = text.lines().count();
        if lines > MOST_LINES { vec![format!("{lines} lines, {MOST_LINES} at most: split it")] } else { Vec::new() }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    // Put together here, so that this file does not contain what it looks for.
    let undone = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    let wrong = faults(&sources("src"), |_, text| found(text, &undone));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What does not carry our name is taken for a library's and not heard below a warning.
#[test]
fn every_target_of_the_log_is_our_own() {
    let files: Vec<_> =
        sources("src").into_iter().filter(|path| !path.to_string_lossy().contains("tracing_setup")).collect();
    let wrong = faults(&files, |_, text| {
        let targets = text.split("target: \"").skip(1).filter(|rest| !rest.starts_with("tollgate::"));
        targets.map(|rest| format!("the target {}", rest.split('"').next().unwrap())).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_knows_a_developers_machine() {
    let machine = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
    let folders = ["src", "tests", "benches", "config", "scripts", "deploy", "helm", ".ci"];
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| files(&repository().join(folder))).collect();
    let wrong = faults(&files, |_, text| found(text, &machine));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_floor_is_a_word_of_its_own() {
    let mut names: Vec<_> = FLOORS.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), FLOORS.len());
    assert!(FLOORS.is_sorted_by_key(|(_, floor)| floor));
}

// How the tests above read code, and tests of that.

#[test]
fn imports_are_found_wherever_they_stand() {
    for (source, names) in [
        ("use crate::types::Money;", vec!["types"]),
        ("pub(crate) use crate::types;", vec!["types"]),
        ("use crate::{types::{Money, Tags}, bedrock, identity::Principal as P};", vec!["types", "bedrock", "identity"]),
        ("use crate::{\n    types::Money,\n    config,\n};", vec!["types", "config"]),
        (
            "fn f(x: crate :: types::Money) -> crate::gateway::Page { crate::cli::run() }",
            vec!["types", "gateway", "cli"],
        ),
        ("$crate::types::x!()", vec!["types"]),
        ("// crate::cli is above\n/* crate::cli /* crate::cli */ crate::cli */ crate::types::X", vec!["types"]),
        ("let text = \"crate::cli\\\"crate::cli\"; let raw = r#\"\"crate::cli\"\"#;", vec![]),
        ("let quote = '\"'; crate::types::X; let other = '\\''; crate::bedrock::Y", vec!["types", "bedrock"]),
        ("fn f<'a>(x: &'a str) -> crate::types::X<'a> { 'l: loop { break 'l } }", vec!["types"]),
        ("pub(crate) fn f(); pub(in crate::config) fn g(); mycrate::cli();", vec!["config"]),
        ("use crate::*;", vec!["*"]),
    ] {
        assert_eq!(imports(&code(source)), names, "{source}");
    }
}

#[test]
fn a_file_belongs_to_the_module_that_its_path_names() {
    let module = |path: &str| module(&repository().join(path));
    assert_eq!(module("src/types/money.rs").as_deref(), Some("types"));
    assert_eq!(module("src/config/compile/mod.rs").as_deref(), Some("config"));
    assert_eq!(module("src/gateway.rs").as_deref(), Some("gateway"));
    assert_eq!((module("src/lib.rs"), module("src/main.rs")), (None, None));
}

#[test]
fn a_chain_of_supers_may_not_reach_the_crate() {
    for (path, source, climbs) in [
        ("src/types/mod.rs", "use super::bedrock;", true),
        ("src/types/money.rs", "use super::Tags;", false),
        ("src/types/money.rs", "use super::super::bedrock;", true),
        ("src/types/money.rs", "mod tests { use super::super::Tags; }", false),
        ("src/types/money.rs", "mod tests { use super::super::super::bedrock; }", true),
        ("src/config/compile/server.rs", "use super::super::schema;", false),
        ("src/config/compile/mod.rs", "use super::super::types;", true),
        ("src/types.rs", "pub(super) fn f(); use super::bedrock;", true),
        ("src/types.rs", "pub(super) fn f();", false),
    ] {
        assert_eq!(climbs_out(&repository().join(path), &code(source)), climbs, "{path}: {source}");
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Every file below a folder of the repository; none where there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let made = matches!(name.as_str(), "target" | "node_modules" | "__pycache__" | ".venv" | "venv");
            found.extend(if made { Vec::new() } else { files(&path) });
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files = files(&repository().join(folder));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(files.len() > 10, "the sources are gone");
    files
}

/// What a rule finds wrong in files that hold text, each with its path.
fn faults(files: &[PathBuf], rule: impl Fn(&Path, &str) -> Vec<String>) -> Vec<String> {
    let wrong = files.iter().flat_map(|path| {
        let text = String::from_utf8(fs::read(path).unwrap()).unwrap_or_default();
        let shown = path.strip_prefix(repository()).unwrap().display().to_string();
        rule(path, &text).into_iter().map(move |wrong| format!("{shown}: {wrong}"))
    });
    wrong.collect()
}

fn found(text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let wrong = lines.flat_map(|(index, line)| {
        words.iter().filter(|word| line.contains(**word)).map(move |word| format!("line {}: {word}", index + 1))
    });
    wrong.collect()
}

/// The path of a file below `src`, without `mod` and the extension: `["config", "compile"]`.
fn module_path(path: &Path) -> Vec<String> {
    let below = path.strip_prefix(repository().join("src")).unwrap().with_extension("");
    let mut parts: Vec<_> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The module below the crate that a file belongs to; `None` for `lib.rs` and `main.rs`.
fn module(path: &Path) -> Option<String> {
    let parts = module_path(path);
    let outermost = matches!(parts.as_slice(), [only] if only == "lib" || only == "main");
    parts.into_iter().next().filter(|_| !outermost)
}

/// Whether a chain of `super::` reaches the crate's root or beyond. Each inline `mod x {` in the file is taken to surround
/// what follows it, which errs on the side of letting pass.
fn climbs_out(path: &Path, code: &str) -> bool {
    let mut depth = module_path(path).len();
    let words: Vec<&str> = words(code).collect();
    let mut index = 0;
    while let Some(word) = words.get(index) {
        if *word == "mod" && words.get(index + 2) == Some(&"{") {
            depth += 1;
        }
        let mut supers = 0;
        while words.get(index) == Some(&"super") && words.get(index + 1) == Some(&"::") {
            supers += 1;
            index += 2;
        }
        if supers >= depth && supers > 0 {
            return true;
        }
        index += usize::from(supers == 0);
    }
    false
}

/// The modules that `crate::…` paths name, in the order of the text. A glob of the whole crate is named `*`.
fn imports(code: &str) -> Vec<String> {
    let words: Vec<&str> = words(code).collect();
    let mut found = Vec::new();
    for start in words.windows(2).enumerate().filter(|(_, pair)| *pair == ["crate", "::"]).map(|(index, _)| index + 2) {
        if words.get(start) != Some(&"{") {
            found.extend(words.get(start).map(|word| (*word).to_owned()));
            continue;
        }
        // `crate::{a::{b, c}, d}`: the words that open the group or follow a comma at its own depth.
        let mut depth = 0;
        for pair in words.get(start..).unwrap_or_default().windows(2) {
            match pair[0] {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(pair[0], "{" | ",") && pair[1] != "}" {
                found.push(pair[1].to_owned());
            }
        }
    }
    found
}

/// Identifiers, `::`, and single other characters.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (found, tail) = rest.split_at(length);
        rest = tail;
        Some(found)
    })
}

/// The code of a file: comments, strings and characters are blanked out.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back().filter(|c| c.is_alphanumeric() || *c == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            character(rest)
        } else if before.is_none() {
            raw_string(rest)
        } else {
            0
        };
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the block comment at the start of a text; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string or character at the start of a text, with its escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character at the start of a text; 0 where the quote begins a lifetime or a label.
fn character(text: &str) -> usize {
    let mut inner = text.chars().skip(1);
    match (inner.next(), inner.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 0,
    }
}

/// The length of a raw string (`r"…"`, `br#"…"#`) at the start of a text, or 0.
fn raw_string(text: &str) -> usize {
    let Some(after) = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix)) else { return 0 };
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let opened = text.len() - after.len() + hashes + 1;
    text[opened..].find(&end).map_or(text.len(), |at| opened + at + end.len())
}
