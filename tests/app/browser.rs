//! The pages in a real browser, gone through by mouse and by keys: whichever Chromium is installed, without a window.
//!
//! What is on a page is found as a screen reader finds it, by its role and its name, so that both are tested on the way.

use std::io::Write;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::accessibility::{AxNode, AxValue, QueryAxTreeParams};
use chromiumoxide::cdp::browser_protocol::dom::{GetContentQuadsParams, ScrollIntoViewIfNeededParams};
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use chromiumoxide::cdp::browser_protocol::log::{EventEntryAdded, LogEntryLevel};
use chromiumoxide::layout::Point;
use chromiumoxide::listeners::EventStream;
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::{interval, timeout};

use super::site::{DEADLINE, Site, catch_up, shared_world};

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The page has the phone's width, and nothing sticks out of it.
const FITS: &str =
    "(({ clientWidth, scrollWidth }) => innerWidth == 390 && clientWidth == 390 && scrollWidth <= 390)(document.documentElement)";

/// One visit, in one browser: nothing outlives a test that could close a browser after the last of several.
#[tokio::test(flavor = "multi_thread")]
async fn a_visit_by_mouse_and_by_keys() {
    let Some(mut visitor) = Visitor::new("browser").await else { return };
    the_life_of_a_user(&visitor).await;
    what_is_wrong_is_said_beside_the_field(&visitor).await;
    keys_are_enough(&visitor).await;
    no_page_is_wider_than_a_phone(&visitor).await;
    visitor.assert_no_complaints_but(&[("422", "/users"), ("404", "/users/0")]).await;
    visitor.leave().await;
}

async fn the_life_of_a_user(visitor: &Visitor) {
    visitor.goto("/users").await;
    visitor.reads("There are no users yet.").await;
    visitor.click("link", "New user").await;
    visitor.click("textbox", "Name").await;
    visitor.types("Ada").await;
    visitor.click("spinbutton", "Age").await;
    visitor.types("36").await;
    visitor.click("button", "Create user").await;
    visitor.reads("User created successfully.").await;
    visitor.reads("Served by ").await;

    visitor.click("link", "Edit").await;
    visitor.click("textbox", "Name").await;
    visitor.types(" Lovelace").await;
    visitor.click("button", "Save changes").await;
    visitor.reads("User updated successfully.").await;
    visitor.reads("Ada Lovelace").await;

    visitor.click("link", "Back to the users").await;
    visitor.click("button", "Delete Ada Lovelace").await;
    visitor.sees("alertdialog", "Delete Ada Lovelace?").await;
    visitor.click("button", "Cancel").await;
    visitor.misses("alertdialog", "Delete Ada Lovelace?").await;
    visitor.goto("/users").await;
    visitor.click("button", "Delete Ada Lovelace").await;
    visitor.click("button", "Delete").await;
    visitor.reads("User deleted successfully.").await;
    visitor.reads("There are no users yet.").await;
}

async fn what_is_wrong_is_said_beside_the_field(visitor: &Visitor) {
    visitor.goto("/users/new").await;
    visitor.click("button", "Create user").await;
    visitor.holds("document.activeElement.matches('#user_name:invalid') && user_age.validity.valueMissing").await;
    visitor.holds("location.pathname == '/users/new'").await;

    visitor.types("   ").await;
    visitor.press("Tab").await;
    visitor.types("1000").await;
    visitor.holds("user_age.validity.rangeOverflow && (document.forms[0].noValidate = true)").await;
    visitor.click("button", "Create user").await;
    visitor.reads("The user was not saved").await;
    visitor.holds("performance.getEntriesByType('navigation')[0].responseStatus == 422").await;
    visitor.holds("document.activeElement.role == 'alert'").await;
    visitor.holds("user_name.value == '   ' && user_age.value == '1000'").await;
    let name = visitor.sees("textbox", "Name").await;
    assert_eq!((invalid(&name), text(name.description.as_ref())), ("true", "Write a name."));
    let age = visitor.sees("spinbutton", "Age").await;
    assert_eq!(
        (invalid(&age), text(age.description.as_ref())),
        ("true", "In whole years, 0 to 150. Write an age from 0 to 150.")
    );
    for field in ["user_name", "user_age"] {
        let gap = format!("{field}.getBoundingClientRect().top - {field}_error.getBoundingClientRect().bottom");
        visitor.holds(&format!("0 <= {gap} && {gap} < 20")).await;
    }
    visitor.click("link", "Age: Write an age from 0 to 150.").await;
    visitor.holds("document.activeElement == user_age").await;
}

async fn keys_are_enough(visitor: &Visitor) {
    visitor.goto("/users").await;
    visitor.press("Tab").await;
    visitor.holds("document.activeElement.innerText == 'Skip to the content'").await;
    visitor.holds("document.activeElement.getBoundingClientRect().left >= 0").await;
    visitor.press("Enter").await;
    visitor.holds("document.activeElement == content").await;
    visitor.press("Tab").await;
    visitor.holds("document.activeElement.innerText == 'New user'").await;
    visitor.press("Enter").await;

    visitor.sees("textbox", "Name").await;
    visitor.tab_to("user_name").await;
    visitor.types("Grace Hopper").await;
    visitor.tab_to("user_age").await;
    visitor.types("85").await;
    visitor.press("Enter").await;
    visitor.reads("User created successfully.").await;
    visitor.reads("Grace Hopper").await;
}

async fn no_page_is_wider_than_a_phone(visitor: &Visitor) {
    let shown = visitor.site.create(&"x".repeat(100), "150").await;
    catch_up(shared_world().await).await;
    visitor.page.execute(SetDeviceMetricsOverrideParams::new(390, 844, 3.0, true)).await.unwrap();
    for path in ["/", "/users", "/users/new", &shown, &format!("{shown}/edit"), "/regions", "/users/0"] {
        visitor.goto(path).await;
        visitor.holds(FITS).await;
    }
    visitor.goto("/users/new").await;
    visitor.holds("document.forms[0].noValidate = true").await;
    visitor.click("button", "Create user").await;
    visitor.reads("The user was not saved").await;
    visitor.holds(FITS).await;
    visitor.goto("/users").await;
    visitor.click("button", &format!("Delete {}", "x".repeat(100))).await;
    visitor.sees("button", "Cancel").await;
    visitor.holds(FITS).await;
    let question = "document.querySelector(':popover-open').getBoundingClientRect()";
    visitor.holds(&format!("{question}.left >= 0 && {question}.right <= 390")).await;
}

/// Somebody who looks at the app in a browser.
struct Visitor {
    site: Site,
    browser: Browser,
    page: Page,
    /// What the browser complains about in its console.
    log: EventStream<EventEntryAdded>,
    _profile: TempDir,
}

impl Visitor {
    /// None where no browser is installed, which is a failure under CI.
    async fn new(database: &str) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let quietly = ["disable-gpu", "disable-quic", "disable-component-update"];
        // Chromium's sandbox works neither for root nor in most containers, and these pages are our own.
        let config = BrowserConfig::builder().no_sandbox().user_data_dir(profile.path()).viewport(None).window_size(1280, 800);
        let Ok(config) = config.args(quietly).build() else {
            let missing = "the pages were not tried in a browser: install Chromium (on Debian: apt-get install chromium)";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            // Past the test harness, which keeps what a passing test prints.
            std::io::stderr().write_all(format!("{missing}\n").as_bytes()).unwrap();
            return None;
        };
        let (browser, mut connection) = Browser::launch(config).await.unwrap();
        tokio::spawn(async move { while connection.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await.unwrap();
        let log = page.event_listener().await.unwrap();
        page.enable_log().await.unwrap();
        Some(Self { site: Site::new(database).await, browser, page, log, _profile: profile })
    }

    async fn goto(&self, path: &str) {
        self.page.goto(self.site.url(path)).await.unwrap();
    }

    /// A click in the middle of what has this role and this name.
    async fn click(&self, role: &str, name: &str) {
        let point = self.until(&format!("no {role} {name:?} to click"), async || self.place(role, name).await).await;
        self.page.click(point).await.unwrap();
    }

    /// Keys, pressed one after the other.
    async fn types(&self, text: &str) {
        for key in text.chars() {
            self.press(&key.to_string()).await;
        }
    }

    async fn press(&self, key: &str) {
        // The key goes to whatever has the focus; the crate only wants some element to hand it on.
        let body = self.until("no page to press a key on", async || self.page.find_element("body").await.ok()).await;
        body.press_key(key).await.unwrap();
    }

    async fn tab_to(&self, id: &str) {
        for _ in 0..20 {
            if self.ask("document.activeElement.id").await.is_some_and(|focused: String| focused == id) {
                return;
            }
            self.press("Tab").await;
        }
        panic!("20 times Tab does not lead to {id}");
    }

    /// Waits until the page shows `text`.
    async fn reads(&self, text: &str) {
        self.holds(&format!("document.body.innerText.includes({})", serde_json::json!(text))).await;
    }

    /// Waits until an expression in JavaScript is true.
    async fn holds(&self, expression: &str) {
        let look = async || self.ask(expression).await.filter(|holds| *holds);
        self.until(&format!("never true: {expression}"), look).await;
    }

    /// Waits for what has this role and this name.
    async fn sees(&self, role: &str, name: &str) -> AxNode {
        self.until(&format!("no {role} {name:?}"), async || self.find(role, name).await?.pop()).await
    }

    /// Waits until nothing has this role and this name.
    async fn misses(&self, role: &str, name: &str) {
        let look = async || self.find(role, name).await.filter(Vec::is_empty);
        self.until(&format!("there is still a {role} {name:?}"), look).await;
    }

    async fn place(&self, role: &str, name: &str) -> Option<Point> {
        let id = self.find(role, name).await?.pop()?.backend_dom_node_id?;
        let scroll = ScrollIntoViewIfNeededParams::builder().backend_node_id(id).build();
        self.page.execute(scroll).await.ok()?;
        let quads = self.page.execute(GetContentQuadsParams::builder().backend_node_id(id).build()).await.ok()?;
        let corners = quads.result.quads.first()?.inner().clone();
        Some(Point::new(f64::midpoint(corners[0], corners[4]), f64::midpoint(corners[1], corners[5])))
    }

    /// None while there is no whole page.
    async fn find(&self, role: &str, name: &str) -> Option<Vec<AxNode>> {
        // Chromium drops clicks and keys before the first paint.
        self.ask("document.readyState == 'complete' && performance.getEntriesByName('first-paint').length > 0")
            .await
            .filter(|painted| *painted)?;
        let root = self.page.get_document().await.ok()?.backend_node_id;
        let query = QueryAxTreeParams::builder().backend_node_id(root).role(role).accessible_name(name).build();
        let found = self.page.execute(query).await.ok()?.result.nodes;
        Some(found.into_iter().filter(|node| !node.ignored).collect())
    }

    /// None while one page makes room for the next, too.
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
        let page: Option<String> = self.ask("location.pathname + '\\n\\n' + document.body.innerText").await;
        panic!("{otherwise}\non {}", page.unwrap_or_default())
    }

    /// Asserts that the console holds nothing but failures to load these paths with these statuses.
    ///
    /// The last complaint is provoked: it shows that all before it were heard, and that the pages refuse scripts.
    async fn assert_no_complaints_but(&mut self, expected: &[(&str, &str)]) {
        let refused = "https://refused.invalid/";
        let script =
            format!("document.body.append(Object.assign(document.createElement('script'), {{ src: '{refused}' }})), true");
        self.holds(&script).await;
        let mut complaints = Vec::new();
        loop {
            let event = timeout(DEADLINE, self.log.next()).await.expect("the script was not refused").unwrap();
            let (text, url) = (&event.entry.text, event.entry.url.as_deref().unwrap_or_default());
            if text.contains("Content Security Policy") && text.contains(refused) {
                break;
            }
            let is_serious = matches!(event.entry.level, LogEntryLevel::Warning | LogEntryLevel::Error);
            if is_serious && !expected.iter().any(|(status, path)| text.contains(status) && url == self.site.url(path)) {
                complaints.push(format!("{url}: {text}"));
            }
        }
        assert!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
    }

    async fn leave(mut self) {
        self.browser.close().await.unwrap();
        self.browser.wait().await.unwrap();
    }
}

fn text(value: Option<&AxValue>) -> &str {
    value.and_then(|value| value.value.as_ref()?.as_str()).unwrap_or_default()
}

fn invalid(node: &AxNode) -> &str {
    let property = node.properties.iter().flatten().find(|property| property.name.as_ref() == "invalid");
    text(property.map(|property| &property.value))
}
