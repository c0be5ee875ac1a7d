//! Links, anchors and paths in every Markdown page lead to something that exists.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How the book links to files outside it.
const REPOSITORY: &str = "https://github.com/archipelago-rs/archipelago/blob/main/";

/// How a path in backticks ends; with other endings it may be a URL, a type or a feature.
const ENDINGS: [&str; 8] = ["/", ".rs", ".md", ".toml", ".txt", ".sh", ".svg", ".html"];

#[test]
fn links_and_paths_in_pages_exist() {
    let mut broken = Vec::new();
    for page in pages() {
        let (Page { links, codes, .. }, folder) = (Page::read(&page), page.parent().unwrap());
        let name = page.strip_prefix(ROOT).unwrap().display();
        for link in links {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path.strip_prefix(REPOSITORY) {
                Some(path) => Path::new(ROOT).join(path),
                None if path.is_empty() => page.clone(),
                None => folder.join(path),
            };
            if !target.exists() {
                broken.push(format!("{name}: there is no file {path}"));
            } else if !anchor.is_empty() && !Page::read(&target).anchors.contains(&anchor.into()) {
                broken.push(format!("{name}: there is no heading {link}"));
            }
        }
        // The changelog names what is gone.
        for code in codes.iter().filter(|code| is_path(code) && !page.ends_with("CHANGELOG.md")) {
            if !Path::new(ROOT).join(code).exists() && !folder.join(code).exists() {
                broken.push(format!("{name}: there is no `{code}`"));
            }
        }
    }
    assert!(broken.is_empty(), "name the file or heading that is meant:\n{}", broken.join("\n"));
}

#[test]
fn the_summary_lists_every_page_of_the_book() {
    let book = Path::new(ROOT).join("docs");
    let summary = book.join("SUMMARY.md");
    let links = Page::read(&summary).links;
    let is_listed = |page: &PathBuf| links.iter().any(|link| book.join(link) == *page);
    let mut unlisted = pages();
    unlisted.retain(|page| page.starts_with(&book) && *page != summary && !is_listed(page));
    assert!(unlisted.is_empty(), "add these pages to docs/SUMMARY.md: {unlisted:?}");
}

/// What a page links to, how its headings are linked to, and what it says in backticks.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: Vec<String>,
    codes: Vec<String>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (mut page, mut heading) = (Self::default(), String::new());
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url: to, .. } | Tag::Image { dest_url: to, .. })
                    if !to.contains("://") || to.starts_with(REPOSITORY) =>
                {
                    page.links.push(to.to_string());
                }
                Event::Start(Tag::Heading { .. }) => heading.clear(),
                Event::End(TagEnd::Heading(_)) => page.anchors.push(anchor(&heading)),
                Event::Text(text) => heading += &text,
                Event::Code(code) => {
                    heading += &code;
                    page.codes.push(code.to_string());
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor that GitHub and mdBook give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Whether this names a file or a folder of the tree.
fn is_path(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.contains('/')
        && code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && ENDINGS.iter().any(|ending| code.ends_with(ending))
}

/// Every Markdown file of the repository.
fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![PathBuf::from(ROOT)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                let is_made = ["target", ".git", ".lab"].iter().any(|made| path.ends_with(made));
                folders.extend((!is_made).then_some(path));
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}
