//! Reads a crate's modules from its sources, and which file uses an item of which other file.
//!
//! Tests and documentation may use everything: code under `#[cfg(test)]` and comments are skipped.

mod reader;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// The modules of one crate. The first one is the crate's root.
pub struct Modules(Vec<Module>);

/// Code in one file that names an item of another file.
#[derive(Clone, Debug)]
pub struct Arrow {
    pub from: PathBuf,
    pub line: usize,
    /// The path as it stands in the code.
    pub path: String,
    pub to: PathBuf,
    /// The top-level modules of `from` and `to`; `None` is the crate's root.
    pub rooms: [Option<String>; 2],
}

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Its names from the crate's root on; empty for the root.
    path: Vec<String>,
    /// Each name that a `use` of this module brings in, with the path that it stands for.
    imports: BTreeMap<String, Vec<String>>,
    /// Each path that this module's code names, with its line.
    named: Vec<(usize, Vec<String>)>,
}

impl Modules {
    /// Follows each `mod` from the crate's root file on; `read` gives a file's text, if it exists.
    pub fn read(root: &Path, read: impl Fn(&Path) -> Option<String>) -> Self {
        let mut modules = Vec::new();
        let mut files =
            VecDeque::from([(root.to_owned(), root.parent().unwrap().to_owned(), Vec::new())]);
        while let Some((file, folder, path)) = files.pop_front() {
            let text = read(&file).unwrap_or_else(|| panic!("{} cannot be read", file.display()));
            let (inside, outside) = reader::read(&text, file, folder, path);
            modules.extend(inside);
            files.extend(outside.into_iter().map(|module| {
                let file = module.files.iter().find(|file| read(file).is_some());
                let file = file.unwrap_or_else(|| panic!("no file of {:?}", module.files));
                (file.clone(), module.folder, module.path)
            }));
        }
        Self(modules)
    }

    /// The names of the top-level modules.
    pub fn rooms(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(|module| module.path.first()).map(String::as_str).collect()
    }

    /// Each use of another file's item, sorted by file and line. A re-export counts as the item.
    pub fn arrows(&self) -> Vec<Arrow> {
        let arrow = |from: usize, line: usize, named: &[String]| {
            let (from, to) = (&self.0[from], &self.0[self.home(from, named)?.module]);
            (from.file != to.file).then(|| Arrow {
                from: from.file.clone(),
                line,
                path: named.join("::"),
                to: to.file.clone(),
                rooms: [from, to].map(|module| module.path.first().cloned()),
            })
        };
        let mut arrows: Vec<_> = (0..self.0.len())
            .flat_map(|from| self.0[from].named.iter().map(move |(line, path)| (from, *line, path)))
            .filter_map(|(from, line, path)| arrow(from, line, path))
            .collect();
        arrows.sort_by(|a, b| (&a.from, a.line, &a.path).cmp(&(&b.from, b.line, &b.path)));
        arrows
    }

    /// Circles of files that use each other, each one as its arrows. A module and those inside it
    /// may use each other.
    pub fn circles(&self) -> Vec<Vec<Arrow>> {
        let mut arrows = self.arrows();
        arrows.retain(|arrow| {
            let [from, to] = [&arrow.from, &arrow.to].map(|file| {
                &self.0.iter().find(|module| module.file == *file).expect("it was read").path
            });
            !from.starts_with(to) && !to.starts_with(from)
        });
        let mut circles = Vec::new();
        while let Some(circle) =
            arrows.iter().filter_map(|arrow| way_back(arrow, &arrows)).min_by_key(Vec::len)
        {
            arrows.retain(|arrow| {
                !circle.iter().any(|step| (&step.from, &step.to) == (&arrow.from, &arrow.to))
            });
            circles.push(circle);
        }
        circles
    }

    /// Where the item is declared that `path` names in the module `from`; `None` if it is in
    /// another crate.
    fn home(&self, from: usize, path: &[String]) -> Option<Home> {
        self.follow(from, path, &mut BTreeSet::new())
    }

    fn follow(
        &self,
        from: usize,
        path: &[String],
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Home> {
        let (first, mut rest) = path.split_first()?;
        let mut home = match first.as_str() {
            "crate" => Home { module: 0, is_item: false },
            "self" => Home { module: from, is_item: false },
            "super" => Home { module: self.parent(from)?, is_item: false },
            _ => self.member(from, first, seen)?,
        };
        while let (false, Some((name, after))) = (home.is_item, rest.split_first()) {
            home = match name.as_str() {
                "self" | "*" => home,
                "super" => Home { module: self.parent(home.module)?, is_item: false },
                name if self.is_foreign(home.module, name) => return None,
                name => self
                    .member(home.module, name, seen)
                    .unwrap_or(Home { module: home.module, is_item: true }),
            };
            rest = after;
        }
        Some(home)
    }

    /// A module inside `module`, or what an import of `module` stands for.
    fn member(
        &self,
        module: usize,
        name: &str,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Home> {
        let is_inside = |inner: &Module| {
            inner.path.split_last().is_some_and(|(last, outer)| {
                last == name && outer == self.0[module].path.as_slice()
            })
        };
        if let Some(module) = self.0.iter().position(is_inside) {
            return Some(Home { module, is_item: false });
        }
        let import = self.0[module].imports.get(name)?;
        seen.insert((module, name.to_owned())).then(|| self.follow(module, import, seen))?
    }

    /// Whether the name is imported from another crate.
    fn is_foreign(&self, module: usize, name: &str) -> bool {
        self.0[module].imports.contains_key(name)
            && self.member(module, name, &mut BTreeSet::new()).is_none()
    }

    fn parent(&self, module: usize) -> Option<usize> {
        let (_, outer) = self.0[module].path.split_last()?;
        self.0.iter().position(|module| module.path == outer)
    }
}

#[derive(Clone, Copy)]
struct Home {
    module: usize,
    /// Whether it is an item of the module, and not the module itself.
    is_item: bool,
}

/// The shortest circle that begins with `first`.
fn way_back(first: &Arrow, arrows: &[Arrow]) -> Option<Vec<Arrow>> {
    let mut ways = VecDeque::from([vec![first.clone()]]);
    let mut seen = BTreeSet::from([&first.to]);
    while let Some(way) = ways.pop_front() {
        let here = way.last()?.to.clone();
        if here == first.from {
            return Some(way);
        }
        for next in arrows.iter().filter(|next| next.from == here) {
            if seen.insert(&next.to) {
                ways.push_back(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}
