//! The positions that a visitor carries: no answer shows less than an earlier one, nor less than
//! what they wrote.

use archipelago::{Freshness, Settings};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;

use super::visit::Visit;
use super::{Door, other};
use crate::world::cutting_proxy::CuttingProxy;
use crate::world::setup::{DEADLINE, HOUR, Repos, create_users, settings, users};

pub async fn a_write_is_in_the_next_read<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    visit.post("/", "Ada").await;
    let read = visit.get("/").await;
    assert_eq!(read.body, "Ada");
    assert!(!read.served_by().starts_with("near;"), "{read:?}");
}

pub async fn a_tampered_cookie_counts_as_none<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    visit.post("/", "Ada").await;
    visit
        .change_cookies(|value| {
            let first = if value.starts_with('A') { "B" } else { "A" };
            value.replace_range(..1, first);
        })
        .await;
    let read = visit.get("/").await;
    assert_eq!((read.status, read.body.as_str()), (200, ""), "as a stranger reads: {read:?}");
    assert!(read.served_by().starts_with("near;"), "{read:?}");
}

pub async fn a_program_carries_positions_in_a_header<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    let written = visit.post("/", "Ada").await;
    visit.change_cookies(String::clear).await;
    assert_eq!(visit.get("/").await.body, "", "without the header");
    let carried = format!("archipelago-position: {}\r\n\r\n", written.positions()[0]);
    let read = visit.send("GET /", &carried).await;
    assert_eq!(read.body, "Ada", "{read:?}");
}

pub async fn answers_that_overtake_each_other_hide_no_write<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    let near = world.server("near").unwrap();
    let first = visit.send_held("POST /held").await;
    world.catch_up().await.unwrap();
    near.pause_replay().await.unwrap();
    visit.post("/", "second").await;
    visit.release();
    first.await.unwrap();
    assert_eq!(visit.cookies().await.len(), 2, "two requests were under way at once");

    let read = visit.get("/").await;
    assert_eq!(read.body, "first,second", "{read:?}");
    assert_eq!(visit.cookies().await.len(), 1, "the next answer has tidied up: {read:?}");
    assert_eq!(visit.get("/").await.body, "first,second");
}

pub async fn a_late_answer_to_a_read_hides_no_write<D: Door>(world: &World) {
    let visit = Visit::near::<D>(world).await;
    visit.post("/", "first").await;
    visit.get("/").await;
    world.catch_up().await.unwrap();
    world.server("near").unwrap().pause_replay().await.unwrap();
    let late = visit.send_held("GET /held").await;
    visit.post("/", "second").await;
    visit.release();
    late.await.unwrap();
    assert_eq!(visit.get("/").await.body, "first,second");
}

pub async fn a_commit_without_a_known_position_is_read_at_the_primary<D: Door>(world: &World) {
    let (proxy, home) = CuttingProxy::start(&world.primary().url()).await;
    create_users(world).await;
    let settings = settings(world).with_url("home", &home).unwrap();
    let settings = settings.in_region("near").with_max_lag(HOUR);
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();

    let repos = Repos::connect(&settings).await.unwrap();
    proxy.cut_after_next_insert();
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    let committed = repos.primary().execute(ada).await.unwrap();
    assert!(committed.value == 1 && committed.position.is_unknown(), "{committed:?}");
    let read = repos.replica().fresh(Freshness::AtLeast(committed.position));
    let read = read.load_served::<String>(users::table.select(users::name)).await.unwrap();
    assert_eq!((read.value, read.served_by.region), (vec!["Ada".to_owned()], "home"));
    assert!(!read.position.is_unknown());

    // A visitor reads at the primary once, and has a known position from then on.
    let visit = Visit::new::<D>(world, &settings).await;
    proxy.cut_after_next_insert();
    let written = visit.post("/", "Grace").await;
    assert!(written.positions()[0].ends_with("FFFFFFFF/FFFFFFFF"), "{written:?}");
    let read = visit.get("/").await;
    assert_eq!(read.body, "Ada,Grace");
    assert!(read.served_by().starts_with("home"), "{read:?}");
    assert!(!read.positions()[0].ends_with("FFFFFFFF/FFFFFFFF"), "{read:?}");
    assert_eq!(visit.cookies().await.len(), 1);
    near.resume_replay().await.unwrap();
    eventually("near serves the visitor again", DEADLINE, async || {
        visit.get("/").await.served_by().starts_with("near")
    })
    .await;
}

pub async fn two_sets_of_repos_keep_their_positions_apart<D: Door>(world: &World) {
    let foreign = World::builder().primary("home").replicas(["near", "far"]).start().await.unwrap();
    create_users(&foreign).await;
    let url = foreign.primary().url();
    let other = Settings::single_database::<other::Repos>(&url).unwrap();
    let ours = create_users(world).await.in_region("near").with_max_lag(HOUR);
    let visit = Visit::with_other::<D>(&ours, &other).await;
    world.server("near").unwrap().pause_replay().await.unwrap();

    let ours = visit.post("/", "Ada").await;
    assert!(ours.set_cookies()[0].contains("; Max-Age=3600"), "as long as max_lag: {ours:?}");
    let theirs = visit.post("/other", "Grace").await;
    assert_eq!(theirs.set_cookies().len(), 1, "the other database's cookie stays: {theirs:?}");
    assert!(theirs.set_cookies()[0].contains("; Max-Age=600"), "{theirs:?}");
    assert_eq!(visit.cookies().await.len(), 2);
    assert_eq!(visit.get("/other").await.body, "Grace");
    let read = visit.get("/").await;
    assert_eq!(read.body, "Ada", "its own position still holds: {read:?}");
    assert_eq!((read.positions().len(), visit.cookies().await.len()), (1, 2));
}
