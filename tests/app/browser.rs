//! The pages in a real browser, by mouse and by keyboard.

use archipelago_lab::World;
use chromiumoxide::cdp::browser_protocol::accessibility::{AxNode, AxValue};
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;

use super::site::{PRIMARY, REPLICAS, Site};
use super::visitor::Visitor;

/// The page is as wide as the phone, and nothing overflows it.
const FITS: &str = "(({ clientWidth, scrollWidth }) => innerWidth == 390 && clientWidth == 390 && scrollWidth <= 390)(document.documentElement)";

/// One visit, as each browser must be closed by the test that opened it.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_visit_by_mouse_and_by_keys(world: World) {
    let site = Site::new(&world).await;
    let Some(mut visitor) = Visitor::of(site.url("")).await else { return };
    the_life_of_a_user(&visitor).await;
    errors_are_shown_beside_their_fields(&visitor).await;
    the_keyboard_is_enough(&visitor).await;
    no_page_is_wider_than_a_phone(&visitor, &site, &world).await;
    visitor.assert_no_errors_but(&[("422", "/users"), ("404", "/users/0")]).await;
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

    visitor.holds("(history.back(), true)").await;
    visitor.holds("user_name?.value == 'Ada' && user_age.value == '36'").await;
    visitor.click("button", "Create user").await;
    visitor.reads("User created successfully.").await;
    visitor.holds("location.pathname == '/users/1'").await;

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

async fn errors_are_shown_beside_their_fields(visitor: &Visitor) {
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
        let gap = format!(
            "{field}.getBoundingClientRect().top - {field}_error.getBoundingClientRect().bottom"
        );
        visitor.holds(&format!("0 <= {gap} && {gap} < 20")).await;
    }
    visitor.click("link", "Age: Write an age from 0 to 150.").await;
    visitor.holds("document.activeElement == user_age").await;
}

async fn the_keyboard_is_enough(visitor: &Visitor) {
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

async fn no_page_is_wider_than_a_phone(visitor: &Visitor, site: &Site, world: &World) {
    let shown = site.create(&"x".repeat(100), "150").await;
    world.catch_up().await.unwrap();
    visitor.page.execute(SetDeviceMetricsOverrideParams::new(390, 844, 3.0, true)).await.unwrap();
    for path in
        ["/", "/users", "/users/new", &shown, &format!("{shown}/edit"), "/regions", "/users/0"]
    {
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

fn text(value: Option<&AxValue>) -> &str {
    value.and_then(|value| value.value.as_ref()?.as_str()).unwrap_or_default()
}

fn invalid(node: &AxNode) -> &str {
    let property =
        node.properties.iter().flatten().find(|property| property.name.as_ref() == "invalid");
    text(property.map(|property| &property.value))
}
