//! The rendered pages: what a visitor's browser, keyboard or screen reader relies on.

use std::time::SystemTime;

use archipelago::Role;
use uuid::Uuid;

use super::*;
use crate::overview::{RegionStatus, Samples};

const EVIL: &str = r#""><script>alert('hello')</script>"#;
const ESCAPED: &str = "&#34;&#62;&#60;script&#62;alert(&#39;hello&#39;)&#60;/script&#62;";
const ORD: DatabaseTiming = DatabaseTiming {
    served_by: ServedBy::new("ord", Role::Replica, Reason::Local),
    milliseconds: 1.234,
};
const NEW: FormTarget =
    FormTarget::New { key: Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8) };

fn layout() -> Layout<'static> {
    Layout { flash: None, database: Some(ORD), instance: "ord" }
}

fn regions() -> RegionsPage<'static> {
    let tokyo = RegionStatus {
        region: "nrt",
        place: Some("Tokyo, Japan"),
        repo: "RepoNrt",
        timeline: Some(2),
        up: Some(false),
        down_seconds: Some(12.0),
        why_down: Some("it cannot be reached"),
        what_to_do: Some("Start it."),
        first_for_reads: true,
        latitude: Some(35.8),
        longitude: Some(140.4),
        ..RegionStatus::UP
    };
    let regions = vec![tokyo, RegionStatus::UP];
    let part = OverviewPart::new("ams", regions, &Samples::default(), (0, 100), vec![]);
    RegionsPage { layout: layout(), part }
}

fn user(name: &str) -> User {
    User { id: 7, name: name.to_owned(), age: 36 }
}

fn index(users: &[User]) -> IndexPage<'_> {
    IndexPage { layout: layout(), users, previous: None, next: None }
}

fn form(target: FormTarget) -> FormPage<'static> {
    FormPage {
        layout: layout(),
        target,
        name: "Ada",
        age: "36",
        name_error: None,
        age_error: None,
        problem: None,
    }
}

#[track_caller]
fn html(page: &impl Template) -> String {
    page.render().expect("a page of plain data renders")
}

/// Asserts that `html` contains the `parts`, in this order.
#[track_caller]
fn assert_reads(html: &str, parts: &[&str]) {
    let mut rest = html;
    for part in parts {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part:?} is not in what is left:\n{rest}"));
        rest = after;
    }
}

#[test]
fn text_of_a_visitor_is_escaped_on_every_page() {
    let evil = user(EVIL);
    let typed = FormPage {
        name: EVIL,
        age: EVIL,
        name_error: Some(EVIL),
        problem: Some(EVIL),
        ..form(NEW)
    };
    let flashed = Layout { flash: Some(EVIL), ..layout() };
    let link = IndexPage { previous: Some(EVIL.to_owned()), ..index(&[]) };
    let list = html(&index(std::slice::from_ref(&evil)));
    let shown = html(&show(flashed, &evil));
    let typed = html(&typed);
    let pager = html(&link);
    let error = html(&ErrorPage {
        layout: layout(),
        status: 404,
        title: EVIL,
        message: EVIL,
        advice: EVIL,
    });
    for page in [&list, &shown, &typed, &pager, &error] {
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains(ESCAPED), "{page}");
    }
    assert_reads(
        &typed,
        &[
            &format!(r#"type="text" value="{ESCAPED}""#),
            &format!(r#"type="number" value="{ESCAPED}""#),
        ],
    );
    assert_reads(&pager, &[&format!(r#"href="{ESCAPED}""#)]);
}

#[test]
fn no_page_needs_what_the_content_security_policy_forbids() {
    let ada = user("Ada");
    let regions =
        html(&regions()).replace(&format!("<script src={:?} defer>", urls::REGIONS_SCRIPT), "");
    for html in [
        html(&HomePage { layout: layout(), primary: "nrt", replicas: &["ord", "ams", "syd"] }),
        html(&index(std::slice::from_ref(&ada))),
        html(&show(layout(), &ada)),
        html(&form(FormTarget::Edit { id: 7 })),
        regions,
        html(&ErrorPage { layout: layout(), status: 404, title: "t", message: "m", advice: "a" }),
    ] {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{html}");
        for forbidden in
            ["<script", "<style", " style=", " on", "javascript:", "http://", "https://"]
        {
            let tags = html
                .split('<')
                .skip(1)
                .filter_map(|rest| rest.split_once('>'))
                .map(|(tag, _)| format!("<{tag}"));
            for tag in tags {
                assert!(!tag.contains(forbidden), "{tag}");
            }
        }
    }
}

#[test]
fn the_footer_says_which_database_served_the_page_and_why() {
    let mut page = HomePage { layout: layout(), primary: "nrt", replicas: &["ord"] };
    assert_reads(
        &html(&page),
        &[
            "<footer>",
            "Served by ord · replica · local · 1.2 ms",
            "own database",
            "This instance runs in ord.",
        ],
    );

    page.layout = Layout::default();
    let html = html(&page);
    assert_reads(&html, &["<footer>", "This instance runs in no region."]);
    assert!(!html.contains("Served by"), "{html}");
}

#[test]
fn an_old_page_says_how_old_it_may_be() {
    let mut served_by = ServedBy::new("ord", Role::Replica, Reason::Failover);
    served_by.stale = Some(Duration::from_millis(12_900));
    let database = Some(DatabaseTiming { served_by, ..ORD });
    let layout = Layout { database, ..layout() };
    let old = html(&IndexPage { layout, ..index(&[]) });
    assert_reads(
        &old,
        &[
            r#"<p class="stale" role="status">This page may be 12 seconds old: "#,
            "<footer>",
            "Served by ord · replica · failover · stale · 1.2 ms",
            "A nearer database is down, or too far behind.",
        ],
    );
    let fresh = html(&index(&[]));
    assert!(!fresh.contains("stale"), "{fresh}");
}

#[test]
fn times_are_written_as_people_say_them() {
    let said = [400, 1_999, 12_900, 119_999, 120_000, 7_199_000, 7_200_000]
        .map(|ms| human_time(Duration::from_millis(ms)));
    assert_eq!(
        said,
        [
            "0.4 seconds",
            "2.0 seconds",
            "12 seconds",
            "119 seconds",
            "2 minutes",
            "119 minutes",
            "2 hours"
        ]
    );
}

#[test]
fn the_list_offers_show_edit_and_delete_for_each_user() {
    let ada = user("Ada");
    assert_reads(
        &html(&index(std::slice::from_ref(&ada))),
        &[
            "Listing users",
            r#"href="/users/new""#,
            "<bdi>Ada</bdi>",
            "36",
            r#"<a href="/users/7">Show"#,
            r#"<a href="/users/7/edit">Edit"#,
            r#"popovertarget="delete-7""#,
        ],
    );
}

#[test]
fn an_empty_list_says_so_and_an_empty_page_leads_back() {
    assert_reads(&html(&index(&[])), &["There are no users yet."]);
    let page = IndexPage { previous: Some("/users?before=8".to_owned()), ..index(&[]) };
    assert_reads(
        &html(&page),
        &[
            "There are no users on this page.",
            r#"<nav class="pages" aria-label="Pages">"#,
            "Previous",
        ],
    );
}

fn show<'a>(layout: Layout<'a>, user: &'a User) -> ShowPage<'a> {
    let date = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let (inserted_at, updated_at) = (date(0).into(), date(86_400).into());
    ShowPage { layout, user, inserted_at, updated_at }
}

#[test]
fn a_user_has_the_dates_of_its_row() {
    assert_reads(
        &html(&show(layout(), &user("Ada"))),
        &["Created</dt>", "Thu, 01 Jan 1970 00:00:00 GMT", "Changed</dt>", "Fri, 02 Jan 1970"],
    );
}

#[test]
fn deleting_asks_first_and_posts_a_delete() {
    let ada = user("Ada");
    assert_reads(
        &html(&show(layout(), &ada)),
        &[
            r#"popovertarget="delete-7""#,
            r#"id="delete-7" popover role="alertdialog""#,
            "Delete <bdi>Ada</bdi>?",
            r#"method="post" action="/users/7""#,
            r#"name="_method" value="delete""#,
            "Cancel",
        ],
    );
}

#[test]
fn a_new_user_is_posted_and_an_edited_one_is_put() {
    let new = html(&form(NEW));
    assert_reads(
        &new,
        &["<title>New user · Archipelago</title>", r#"method="post" action="/users""#],
    );
    assert_reads(
        &new,
        &[r#"type="hidden" name="_key" value="67e55044-10b1-426f-9247-bb680e5fe0c8""#],
    );
    assert!(!new.contains("_method"), "{new}");
    assert!(!new.contains("aria-invalid") && !new.contains("role=\"alert\""), "{new}");

    let edit = html(&form(FormTarget::Edit { id: 7 }));
    assert_reads(
        &edit,
        &[
            "Edit user 7",
            r#"action="/users/7""#,
            r#"name="_method" value="put""#,
            r#"value="Ada""#,
            r#"value="36""#,
        ],
    );
}

#[test]
fn each_error_is_beside_its_field_and_linked_from_the_summary() {
    let page = FormPage {
        name: "",
        age: "151",
        name_error: Some("Write a name."),
        age_error: Some("Too old."),
        ..form(NEW)
    };
    assert_reads(
        &html(&page),
        &[
            "<title>Error: New user",
            r#"role="alert" tabindex="-1" autofocus"#,
            r##"<a href="#user_name">Name: Write a name.</a>"##,
            r##"<a href="#user_age">Age: Too old.</a>"##,
            r#"id="user_name_error">Write a name."#,
            r#"aria-invalid="true" aria-describedby="user_name_error""#,
            r#"value="151""#,
            r#"aria-invalid="true" aria-describedby="user_age_hint user_age_error""#,
        ],
    );
}

#[test]
fn a_problem_keeps_what_was_typed() {
    let html = html(&FormPage { problem: Some("The primary cannot be reached."), ..form(NEW) });
    assert_reads(
        &html,
        &["role=\"alert\"", "The primary cannot be reached.", r#"value="Ada""#, r#"value="36""#],
    );
    assert!(!html.contains("aria-invalid"), "{html}");
}

#[test]
fn the_regions_page_shows_each_state_in_words_and_on_the_map() {
    assert_reads(
        &html(&regions()),
        &[
            r#"<script src="/static/regions.js" defer></script>"#,
            r#"<a href="/regions" aria-current="page">"#,
            "No database takes the writes.",
            r##"href="#region-nrt" aria-label="nrt, Tokyo, Japan: replica, down" transform="translate(140.4 -35.8)">"##,
            r#"<section class="card" id="region-nrt""#,
            "first for reads here",
            r#"<p class="bad">down for 12 seconds: it cannot be reached"#,
            "Start it.",
            "replica, timeline 2",
            "RepoNrt",
            "0 in use, 1 idle, 0 waiting, at most 10",
        ],
    );
}
