//! Every regions.toml that a page shows is one that the build accepts.

use std::fs;
use std::path::Path;

use archipelago_regions::check;

#[test]
fn every_regions_toml_in_the_pages_is_right() {
    let mut checked = 0;
    for page in ["README.md", "docs/getting-started.md", "docs/regions-toml.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for source in blocks.filter(|block| block.contains("primary  =")) {
            check(page, source, None).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{source}"));
            checked += 1;
        }
    }
    assert_eq!(checked, 3, "list here every page that shows a regions.toml");
}
