//! Asserts with axe-core that a page is accessible.

use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetEmulatedMediaParams};

use super::visitor::Visitor;

/// <https://github.com/dequelabs/axe-core>, 4.10.3 of the npm registry.
const AXE: &str = include_str!("axe.min.js");

/// Asserts that axe-core finds nothing on this page.
pub async fn has_no_violations(visitor: &Visitor, path: &str, is_dark: bool) {
    visitor.page.execute(colours(is_dark)).await.unwrap();
    visitor.goto(path).await;
    visitor.holds("document.readyState == 'complete'").await;
    visitor.page.evaluate_expression(AXE).await.unwrap();
    let found: String = visitor
        .page
        .evaluate_function("async () => JSON.stringify((await axe.run()).violations.map(({ id, nodes }) => [id, nodes.map(node => [node.html, node.failureSummary])]))")
        .await
        .unwrap()
        .into_value()
        .unwrap();
    assert_eq!(found, "[]", "{path}, dark: {is_dark}");
}

/// Dark or light.
pub fn colours(is_dark: bool) -> SetEmulatedMediaParams {
    let scheme = if is_dark { "dark" } else { "light" };
    let feature = MediaFeature::new("prefers-color-scheme", scheme);
    SetEmulatedMediaParams::builder().feature(feature).build()
}
