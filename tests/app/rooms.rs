//! Which part of a crate may use which: the order of the core's rooms, and no circle of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use cargo_metadata::{MetadataCommand, TargetKind};
use expect_test::{Expect, expect};

use super::modules::{Arrow, Modules};

/// The core's rooms (its top-level modules), from the ground up. Each room uses only rooms that
/// are above it in this list.
const ROOMS: &[&str] = &[
    "error",
    "region",
    "position",
    "query",
    "settings",
    "timing",
    "server",
    "connection",
    "pool",
    "cluster",
    "visitor",
    "query_span",
    "read",
    "write",
    "repo_set",
    "metrics",
    "handler",
    "actix",
    "axum",
];

#[test]
fn each_room_of_the_core_uses_only_rooms_above_it() {
    let [(_, core)] = &crates(|root| root.starts_with("archipelago/"))[..] else {
        panic!("the core is one crate in archipelago/")
    };
    let mistakes = out_of_order(core, ROOMS);
    assert!(mistakes.is_empty(), "{mistakes}");
}

#[test]
fn no_crate_has_a_circle_of_files() {
    let crates = crates(|_| true);
    let circles: String = crates.iter().map(|(name, modules)| circles(name, modules)).collect();
    assert!(circles.is_empty(), "{circles}");
}

/// The workspace's libraries and programs whose root file is wanted.
fn crates(is_wanted: impl Fn(&Path) -> bool) -> Vec<(String, Modules)> {
    let metadata =
        MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let workspace = metadata.workspace_root.as_std_path();
    let read = |file: &Path| std::fs::read_to_string(workspace.join(file)).ok();
    let is_shipped = |kind: &TargetKind| {
        matches!(kind, TargetKind::Lib | TargetKind::ProcMacro | TargetKind::Bin)
    };
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    targets
        .filter(|target| target.kind.iter().any(is_shipped))
        .map(|target| (target, target.src_path.as_std_path().strip_prefix(workspace).unwrap()))
        .filter(|(_, root)| is_wanted(root))
        .map(|(target, root)| (target.name.clone(), Modules::read(root, read)))
        .collect()
}

/// Each arrow against the order of `rooms`, each room that only one of both has, and what to do.
fn out_of_order(modules: &Modules, rooms: &[&str]) -> String {
    let mut mistakes = String::new();
    let (there, listed) = (modules.rooms(), rooms.iter().copied().collect::<BTreeSet<_>>());
    for room in there.difference(&listed) {
        writeln!(mistakes, "The room `{room}` is not in the list ROOMS: add it.").unwrap();
    }
    for room in listed.difference(&there) {
        writeln!(mistakes, "The room `{room}` of the list ROOMS is no module: remove it.").unwrap();
    }
    let place =
        |room: &Option<String>| rooms.iter().position(|listed| Some(*listed) == room.as_deref());
    let mut is_out_of_order = false;
    for arrow in modules.arrows() {
        if let [Some(from), Some(to)] = arrow.rooms.each_ref().map(place)
            && from < to
        {
            writeln!(mistakes, "{} → {}: {}", rooms[from], rooms[to], uses(&arrow)).unwrap();
            is_out_of_order = true;
        }
    }
    if is_out_of_order {
        mistakes.push_str(
            "A room uses only rooms above it in the list ROOMS of tests/app/rooms.rs.\n\
             Move the item into a room that both may use, pass a plain value instead, \
             or change the order of the list on purpose.\n",
        );
    }
    mistakes
}

/// Each circle of files that use each other, with what to do.
fn circles(name: &str, modules: &Modules) -> String {
    let mut text = String::new();
    for circle in modules.circles() {
        writeln!(text, "A circle of files in {name}:").unwrap();
        for arrow in &circle {
            writeln!(text, "  {}", uses(arrow)).unwrap();
        }
        text.push_str("Move what they share into a file of its own, or pass a plain value.\n");
    }
    text
}

fn uses(Arrow { from, line, path, to, .. }: &Arrow) -> String {
    format!("{}:{line} uses {} ({path})", from.display(), to.display())
}

/// The modules of a crate whose files are these.
fn modules(files: &[(&str, &str)]) -> Modules {
    let files: BTreeMap<_, _> =
        files.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
    Modules::read(Path::new("src/lib.rs"), |file| files.get(file).cloned())
}

#[track_caller]
fn check_order(files: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&out_of_order(&modules(files), &["low", "high"]));
}

#[track_caller]
fn check_circles(files: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&circles("a crate", &modules(files)));
}

const LIB: (&str, &str) =
    ("src/lib.rs", "mod high;\nmod low;\npub use crate::high::High;\npub use low::Low;");

#[test]
fn a_room_may_use_what_is_above_it() {
    let high = "use crate::low::Low;\nimpl crate::Low {}\npub struct High(pub Low);";
    check_order(&[LIB, ("src/low.rs", "pub struct Low;"), ("src/high.rs", high)], &expect![""]);
}

#[test]
fn each_way_to_name_a_later_room_is_found() {
    let low = "
use crate::{Low as Own, high::{self, inner::Deep}};
use super::high::*;
use crate::High;
fn call() -> crate::high::High { super::high::build::<crate::High>() }
fn format() { format!(\"{}\", [crate::high::NAME]); }
fn local() { use crate::high::inner; }
";
    let high = ("src/high.rs", "mod inner;\npub struct High;");
    let inner = ("src/high/inner.rs", "pub struct Deep;");
    check_order(
        &[LIB, ("src/low.rs", low), high, inner],
        &expect![[r#"
            low → high: src/low.rs:2 uses src/high/inner.rs (crate::high::inner::Deep)
            low → high: src/low.rs:2 uses src/high.rs (crate::high::self)
            low → high: src/low.rs:3 uses src/high.rs (super::high::*)
            low → high: src/low.rs:4 uses src/high.rs (crate::High)
            low → high: src/low.rs:5 uses src/high.rs (crate::High)
            low → high: src/low.rs:5 uses src/high.rs (crate::high::High)
            low → high: src/low.rs:5 uses src/high.rs (super::high::build)
            low → high: src/low.rs:6 uses src/high.rs (crate::high::NAME)
            low → high: src/low.rs:7 uses src/high/inner.rs (crate::high::inner)
            A room uses only rooms above it in the list ROOMS of tests/app/rooms.rs.
            Move the item into a room that both may use, pass a plain value instead, or change the order of the list on purpose.
        "#]],
    );
}

#[test]
fn tests_comments_and_other_crates_are_not_arrows() {
    let low = "
//! As [`crate::high::High`] says.
pub(in crate::high) struct Low;
use serde::high::Value;
/// See [`crate::High`].
impl Low {
    #[cfg(test)]
    fn high() -> crate::High { crate::High }
}
#[cfg(test)]
use crate::high::Name;
#[cfg(test)]
mod tests { use crate::high::*; }
";
    check_order(&[LIB, ("src/low.rs", low), ("src/high.rs", "pub struct High;")], &expect![""]);
}

#[test]
fn the_list_and_the_modules_are_the_same() {
    check_order(
        &[("src/lib.rs", "mod high;\nmod new;"), ("src/high.rs", ""), ("src/new/mod.rs", "")],
        &expect![[r#"
            The room `new` is not in the list ROOMS: add it.
            The room `low` of the list ROOMS is no module: remove it.
        "#]],
    );
}

#[test]
fn a_circle_of_files_is_found_through_re_exports() {
    check_circles(
        &[
            ("src/lib.rs", "mod a;\nmod b;\nmod c;\nuse a::A;"),
            ("src/a.rs", "mod inner;\npub use inner::A;\nuse crate::c::C;"),
            ("src/a/inner.rs", "use crate::b;\npub struct A(b::B);"),
            ("src/b.rs", "use super::c::C;\npub struct B(C);"),
            ("src/c.rs", "pub struct C(Option<Box<crate::A>>);"),
        ],
        &expect![[r#"
            A circle of files in a crate:
              src/a/inner.rs:1 uses src/b.rs (crate::b)
              src/b.rs:1 uses src/c.rs (super::c::C)
              src/c.rs:1 uses src/a/inner.rs (crate::A)
            Move what they share into a file of its own, or pass a plain value.
        "#]],
    );
}

#[test]
fn parent_and_child_may_use_each_other() {
    check_circles(
        &[
            ("src/lib.rs", "mod a;\npub struct Root(a::A);"),
            ("src/a.rs", "mod inner;\npub struct A(inner::Inner);"),
            ("src/a/inner.rs", "use super::A;\npub struct Inner(Box<A>, crate::Root);"),
        ],
        &expect![[r#""#]],
    );
}
