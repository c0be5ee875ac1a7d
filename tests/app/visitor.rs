//! A visitor with a real browser: the installed Chromium, without a window.
//!
//! Elements are found as a screen reader finds them, by role and name, which tests both.

use std::io::Write;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::accessibility::{AxNode, QueryAxTreeParams};
use chromiumoxide::cdp::browser_protocol::dom::{
    GetContentQuadsParams, ScrollIntoViewIfNeededParams,
};
use chromiumoxide::cdp::browser_protocol::log::{EventEntryAdded, LogEntryLevel};
use chromiumoxide::layout::Point;
use chromiumoxide::listeners::EventStream;
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::{interval, timeout};

use super::site::DEADLINE;

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A visitor with a browser of their own.
pub struct Visitor {
    /// The site's URL without a path.
    address: String,
    browser: Browser,
    pub page: Page,
    /// The browser's console.
    log: EventStream<EventEntryAdded>,
    _profile: TempDir,
}

impl Visitor {
    /// `None` if no browser is installed; under CI the test then fails.
    pub async fn of(address: String) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let quietly = ["disable-gpu", "disable-quic", "disable-component-update"];
        // Chromium's sandbox works neither for root nor in most containers, and these pages are our own.
        let config = BrowserConfig::builder()
            .no_sandbox()
            .user_data_dir(profile.path())
            .viewport(None)
            .window_size(1280, 800);
        let Ok(config) = config.args(quietly).build() else {
            let missing = "the pages were not tried in a browser: install Chromium (on Debian: apt-get install chromium)";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            // Directly, as the test harness hides what a passing test prints.
            std::io::stderr().write_all(format!("{missing}\n").as_bytes()).unwrap();
            return None;
        };
        let (browser, mut connection) = Browser::launch(config).await.unwrap();
        tokio::spawn(async move { while connection.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await.unwrap();
        let log = page.event_listener().await.unwrap();
        page.enable_log().await.unwrap();
        Some(Self { address, browser, page, log, _profile: profile })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub async fn goto(&self, path: &str) {
        self.page.goto(self.url(path)).await.unwrap();
    }

    /// Clicks the middle of the element with this role and name.
    pub async fn click(&self, role: &str, name: &str) {
        let point = self
            .until(&format!("no {role} {name:?} to click"), async || self.middle(role, name).await)
            .await;
        self.page.click(point).await.unwrap();
    }

    /// Presses the keys of `text` one after the other.
    pub async fn types(&self, text: &str) {
        for key in text.chars() {
            self.press(&key.to_string()).await;
        }
    }

    pub async fn press(&self, key: &str) {
        // The key goes to the element with the focus; the crate needs any element to send it.
        let body = self
            .until("no page to press a key on", async || self.page.find_element("body").await.ok())
            .await;
        body.press_key(key).await.unwrap();
    }

    pub async fn tab_to(&self, id: &str) {
        for _ in 0..20 {
            if self
                .ask("document.activeElement.id")
                .await
                .is_some_and(|focused: String| focused == id)
            {
                return;
            }
            self.press("Tab").await;
        }
        panic!("20 times Tab does not lead to {id}");
    }

    /// Waits until the page shows `text`.
    pub async fn reads(&self, text: &str) {
        self.holds(&format!("document.body.innerText.includes({})", serde_json::json!(text))).await;
    }

    /// Waits until an expression in JavaScript is true.
    pub async fn holds(&self, expression: &str) {
        let look = async || self.ask(expression).await.filter(|holds| *holds);
        self.until(&format!("never true: {expression}"), look).await;
    }

    /// Whether an expression in JavaScript is true now.
    pub async fn is(&self, expression: &str) -> bool {
        self.ask(expression).await.unwrap_or_default()
    }

    /// Waits for an element with this role and name.
    pub async fn sees(&self, role: &str, name: &str) -> AxNode {
        self.until(&format!("no {role} {name:?}"), async || self.find(role, name).await?.pop())
            .await
    }

    /// Waits until no element has this role and name.
    pub async fn misses(&self, role: &str, name: &str) {
        let look = async || self.find(role, name).await.filter(Vec::is_empty);
        self.until(&format!("there is still a {role} {name:?}"), look).await;
    }

    async fn middle(&self, role: &str, name: &str) -> Option<Point> {
        let id = self.find(role, name).await?.pop()?.backend_dom_node_id?;
        let scroll = ScrollIntoViewIfNeededParams::builder().backend_node_id(id).build();
        self.page.execute(scroll).await.ok()?;
        let quads = self
            .page
            .execute(GetContentQuadsParams::builder().backend_node_id(id).build())
            .await
            .ok()?;
        let corners = quads.result.quads.first()?.inner().clone();
        Some(Point::new(
            f64::midpoint(corners[0], corners[4]),
            f64::midpoint(corners[1], corners[5]),
        ))
    }

    /// `None` while the page is not complete.
    async fn find(&self, role: &str, name: &str) -> Option<Vec<AxNode>> {
        // Chromium drops clicks and keys before the first paint.
        self.ask("document.readyState == 'complete' && performance.getEntriesByName('first-paint').length > 0")
            .await
            .filter(|painted| *painted)?;
        let root = self.page.get_document().await.ok()?.backend_node_id;
        let query = QueryAxTreeParams::builder()
            .backend_node_id(root)
            .role(role)
            .accessible_name(name)
            .build();
        let found = self.page.execute(query).await.ok()?.result.nodes;
        Some(found.into_iter().filter(|node| !node.ignored).collect())
    }

    /// Also `None` while one page replaces another.
    async fn ask<T: DeserializeOwned>(&self, expression: &str) -> Option<T> {
        self.page.evaluate_expression(expression).await.ok()?.into_value().ok()
    }

    async fn until<T>(&self, otherwise: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let looking = async {
            let mut looks = interval(BETWEEN_LOOKS);
            loop {
                looks.tick().await;
                if let Some(found) = look().await {
                    return found;
                }
            }
        };
        if let Ok(found) = timeout(DEADLINE, looking).await {
            return found;
        }
        let page: Option<String> =
            self.ask("location.pathname + '\\n\\n' + document.body.innerText").await;
        panic!("{otherwise}\non {}", page.unwrap_or_default())
    }

    /// Asserts that the console has no errors but failures to load these paths with these statuses.
    ///
    /// It provokes a last error, a refused script: once that arrives, all earlier ones have.
    pub async fn assert_no_errors_but(&mut self, expected: &[(&str, &str)]) {
        let refused = "https://refused.invalid/";
        let script = format!(
            "document.body.append(Object.assign(document.createElement('script'), {{ src: '{refused}' }})), true"
        );
        self.holds(&script).await;
        let mut errors = Vec::new();
        loop {
            let event = timeout(DEADLINE, self.log.next())
                .await
                .expect("the script was not refused")
                .unwrap();
            let (text, url) = (&event.entry.text, event.entry.url.as_deref().unwrap_or_default());
            if text.contains("Content Security Policy") && text.contains(refused) {
                break;
            }
            let is_serious =
                matches!(event.entry.level, LogEntryLevel::Warning | LogEntryLevel::Error);
            if is_serious
                && !expected
                    .iter()
                    .any(|(status, path)| text.contains(status) && url == self.url(path))
            {
                errors.push(format!("{url}: {text}"));
            }
        }
        assert!(errors.is_empty(), "errors in the console:\n{}", errors.join("\n"));
    }

    pub async fn leave(mut self) {
        self.browser.close().await.unwrap();
        self.browser.wait().await.unwrap();
    }
}
