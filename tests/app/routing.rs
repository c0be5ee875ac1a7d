//! Which region's database serves a request, and why; and that visitors read their own writes.

use archipelago::RegionSet;
use archipelago_app::repos::Repos;
use archipelago_lab::World;
use cookie::{Cookie, CookieJar, Key};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

use super::site::{
    DEADLINE, HOUR, PRIMARY, Page, REPLICAS, Site, environment, first_replica, primary, regions,
};
use super::site::{until, visitor};

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn every_region_reads_from_its_own_database(world: World) {
    let mut vars = environment(&world).await;
    for info in Repos::REGIONS {
        vars.insert("FLY_REGION".to_owned(), info.code.to_owned());
        let site = Site::of(&vars);
        let local = format!("{}; role={}; reason=local", info.code, info.role);
        let page = site.until("/users", |page| page.served_by() == local).await;
        page.assert_shows(&format!("This instance runs in {}", info.code));
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_place_without_a_database_reads_from_the_nearest(world: World) {
    let mut vars = environment(&world).await;
    let place = Repos::PLACES
        .iter()
        .find(|place| Repos::REGIONS.iter().all(|info| info.code != **place))
        .unwrap();
    let nearest = Repos::nearest_to(place).next().unwrap();
    vars.insert("FLY_REGION".to_owned(), (*place).to_owned());
    let site = Site::of(&vars);
    let served_by = format!("{nearest}; role=replica; reason=nearest");
    site.until("/users", |page| page.served_by() == served_by).await;
}

/// As in development: a single database that is no cluster, and no region.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn one_ordinary_database_serves_everything(world: World) {
    let mut vars = environment(&world).await;
    vars.retain(|name, _| !name.starts_with("DATABASE_URL") && name != "FLY_REGION");
    vars.insert("DATABASE_URL".to_owned(), world.primary().url());
    let site = Site::of(&vars);
    let shown = site.create("Ada", "36").await;
    let page = site.get(&shown).await;
    assert_eq!(page.served_by(), format!("{}; role=primary; reason=primary", primary()));
    page.assert_shows("This instance runs in no region");

    // With a region, that region's repo reads from the same database, which reports its own role.
    vars.insert("FLY_REGION".to_owned(), first_replica().to_owned());
    let site = Site::of(&vars);
    let page = site.get("/users").await;
    assert_eq!(page.served_by(), format!("{}; role=primary; reason=local", first_replica()));
    page.assert_shows("<bdi>Ada</bdi>");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn visitors_read_their_own_writes(world: World) {
    let site = Site::with_max_lag(&environment(&world).await, HOUR);
    let replica = world.server(first_replica()).unwrap();
    let fresher = format!("{}; role=primary; reason=fresher", primary());
    let local = format!("{}; role=replica; reason=local", first_replica());
    replica.pause_replay().await.unwrap();
    let shown = site.create("Ada", "36").await;

    // The replica lags.
    site.until(&shown, |page| page.served_by() == fresher).await;
    let stranger =
        until(|| visitor().get(site.url(&shown)), |page| page.served_by() == local).await;
    assert_eq!(
        stranger.status,
        StatusCode::NOT_FOUND,
        "a visitor who has not written it may read an older state"
    );
    let own = position_cookie(&site.get(&shown).await);
    let (name, signature) = own.split_once('=').unwrap();
    let (history, _) = name.rsplit_once('-').unwrap();
    let forged_cookie = format!("{history}-FFFFFFFF.FFFFFFFE.forged={signature}");
    let forged = || visitor().get(site.url("/users")).header("cookie", &forged_cookie);
    until(forged, |page| {
        assert_ne!(page.served_by(), fresher, "a forged position counts for nothing");
        page.served_by() == local
    })
    .await;

    replica.resume_replay().await.unwrap();
    replica.wait_until_replayed(world.primary().position().await.unwrap(), DEADLINE).await.unwrap();
    site.until(&shown, |page| page.served_by() == local).await;
}

/// As when the answer to the first of two forms arrives last.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn answers_out_of_order_hide_no_write(world: World) {
    let site = Site::with_max_lag(&environment(&world).await, HOUR);
    let write = async |name: &str| {
        let form = [("user[name]", name), ("user[age]", "36")];
        let page = Page::of(visitor().post(site.url("/users")).form(&form)).await;
        (position_cookie(&page), page.header("location").unwrap())
    };
    let (first, _) = write("Ada").await;
    world.catch_up().await.unwrap();
    world.server(first_replica()).unwrap().pause_replay().await.unwrap();
    let (second, shown) = write("Grace").await;
    let fresher = format!("{}; role=primary; reason=fresher", primary());
    for cookies in [[&first, &second], [&second, &first]].map(|both| both.map(String::as_str)) {
        let read = || visitor().get(site.url(&shown)).header("cookie", cookies.join("; "));
        let page = until(read, |page| page.served_by() == fresher).await;
        page.assert_shows("<bdi>Grace</bdi>");
        for brought in [&first, &second] {
            let (name, _) = brought.split_once('=').unwrap();
            let is_removed = set_cookies(&page).iter().any(|cookie| {
                cookie.starts_with(&format!("{name}=;")) && cookie.contains("Max-Age=0")
            });
            let is_carried = position_cookie(&page) == *brought;
            assert!(is_removed || is_carried, "{brought} in {:?}", set_cookies(&page));
        }
    }
}

/// A key that verifies and does not sign any more.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_position_outlives_the_key_that_signed_it(world: World) {
    let (old, new) = ("5a".repeat(32), "a5".repeat(32));
    let mut vars = environment(&world).await;
    let mut site_with = |keys: &str| {
        vars.insert("SECRET_KEY".to_owned(), keys.to_owned());
        Site::with_max_lag(&vars, HOUR)
    };
    let before = site_with(&old);
    world.server(first_replica()).unwrap().pause_replay().await.unwrap();
    let shown = before.create("Ada", "36").await;
    let cookie = position_cookie(&before.get(&shown).await);

    let fresher = format!("{}; role=primary; reason=fresher", primary());
    let local = format!("{}; role=replica; reason=local", first_replica());
    let both = site_with(&format!("{new},{old}"));
    let read = |site: &Site| visitor().get(site.url(&shown)).header("cookie", &cookie);
    let page = until(|| read(&both), |page| page.served_by() == fresher).await;
    assert_ne!(position_cookie(&page), cookie, "the first key signs");

    let after = site_with(&new);
    until(|| read(&after), |page| page.served_by() == local).await;
}

fn set_cookies(page: &Page) -> Vec<&str> {
    page.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

/// The cookie that carries the answer's position, as a browser sends it.
fn position_cookie(page: &Page) -> String {
    let mut cookies = set_cookies(page).into_iter();
    let cookie = cookies
        .rfind(|cookie| cookie.starts_with("archipelago.") && !cookie.contains("Max-Age=0"))
        .expect("an answer carries its position");
    cookie.split(';').next().unwrap().to_owned()
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_position_cookie_is_hidden_from_scripts(world: World) {
    let site = Site::new(&world).await;
    let page = site.post("/users", &[("user[name]", "Ada"), ("user[age]", "36")]).await;
    let cookies = set_cookies(&page);
    let position = cookies.iter().find(|cookie| cookie.starts_with("archipelago.v1-")).unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(position.contains(attribute), "{position}");
    }
    assert!(!position.contains("Secure"), "plain HTTP: {position}");
    let https = site.browser.post(site.url("/users")).header("x-forwarded-proto", "https");
    let page = Page::of(https.form(&[("user[name]", "Ada"), ("user[age]", "36")])).await;
    let cookies = set_cookies(&page);
    assert!(cookies.iter().all(|cookie| cookie.contains("Secure")), "{cookies:?}");
    // A sibling of this host under the same domain cannot set one of that name.
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-archipelago.v1-")));
    assert_eq!(page.header("strict-transport-security").as_deref(), Some("max-age=31536000"));
    let plain = site.get("/users").await;
    assert_eq!(plain.header("strict-transport-security"), None);
}

/// What others put into the jar takes nothing away: bytes that are no text, and a cookie of the same
/// name that a sibling of this host has set for their common domain.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn cookies_of_others_hide_no_write(world: World) {
    let site = Site::with_max_lag(&environment(&world).await, HOUR);
    world.server(first_replica()).unwrap().pause_replay().await.unwrap();
    for (proto, prefix) in [("http", "archipelago."), ("https", "__Host-archipelago.")] {
        let form = [("user[name]", "Ada"), ("user[age]", "36")];
        let post = visitor().post(site.url("/users")).header("x-forwarded-proto", proto);
        let written = Page::of(post.form(&form)).await;
        let shown = site.url(&written.header("location").unwrap());
        let cookies = set_cookies(&written);
        let own = cookies.iter().find(|cookie| cookie.starts_with(prefix)).unwrap();
        let own = own.split(';').next().unwrap();
        let (name, _) = own.split_once('=').unwrap();
        for jar in [
            [format!("{name}=x; ").as_bytes(), own.as_bytes()].concat(),
            [own.as_bytes(), format!("; {name}=").as_bytes()].concat(),
            [b"a=\xff; \xfe=1; ", own.as_bytes(), b"; b=\xc3"].concat(),
        ] {
            let jar = HeaderValue::from_bytes(&jar).unwrap();
            let page = Page::of(visitor().get(&shown).header("cookie", jar.clone())).await;
            assert_eq!(page.status, StatusCode::OK, "{jar:?}");
        }
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn an_api_client_carries_its_position_in_a_header(world: World) {
    const POSITION: &str = "archipelago-position";
    let site = Site::with_max_lag(&environment(&world).await, HOUR);
    world.server(first_replica()).unwrap().pause_replay().await.unwrap();
    let written = Page::of(
        visitor().post(site.url("/users")).form(&[("user[name]", "Ada"), ("user[age]", "36")]),
    )
    .await;
    let (shown, position) =
        (written.header("location").unwrap(), written.header(POSITION).unwrap());
    let fresher = format!("{}; role=primary; reason=fresher", primary());
    let local = format!("{}; role=replica; reason=local", first_replica());
    let read = |header, position: &str| visitor().get(site.url(&shown)).header(header, position);
    let is_seen = |page: &Page| {
        assert_ne!(
            page.status,
            StatusCode::NOT_FOUND,
            "what the client has written or read stays visible"
        );
        page.served_by() == fresher
    };
    let counts_for_nothing = |page: &Page| {
        assert_ne!(page.served_by(), fresher);
        page.served_by() == local
    };

    let seen = until(|| read(POSITION, &position), is_seen)
        .await
        .header(POSITION)
        .expect("a read returns its position");
    until(|| read(POSITION, &seen), is_seen).await;

    // The signature has 44 characters; the position after it is plain text.
    let (signature, known) = position.split_at(44);
    let forged = known.replace(known.rsplit('-').next().unwrap(), "FFFFFFFF/FFFFFFFF");
    let older = known.strip_prefix("v1-").expect("the format has a version").to_owned();
    let unsigned_cookie = format!("archipelago.{}.abcdef", known.replace('/', "."));
    let forged_cookie = format!("archipelago.{}.abcdef", forged.replace('/', "."));
    for (header, nonsense) in [
        (POSITION, known.to_owned()),
        (POSITION, format!("{signature}{forged}")),
        (POSITION, format!("{signature}{older}")),
        (POSITION, forged),
        (POSITION, "0/0".to_owned()),
        (POSITION, String::new()),
        ("cookie", format!("{unsigned_cookie}=")),
        ("cookie", format!("{forged_cookie}={signature}")),
        ("cookie", format!("archipelago_position={signature}{older}")),
        ("cookie", "archipelago.v1-7-1-0.0.a=; archipelago.=; archipelago.v1".to_owned()),
    ] {
        let page = until(|| read(header, &nonsense), counts_for_nothing).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{header}: {nonsense}");
    }
}

/// It is signed with this app's key: by a copy of the site, or before a restore from a backup.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_position_on_an_unknown_timeline_stops_no_visitor(world: World) {
    const POSITION: &str = "archipelago-position";
    let mut vars = environment(&world).await;
    let secret = [0x5a; 32];
    vars.insert("SECRET_KEY".to_owned(), hex::encode(secret));
    let site = Site::of(&vars);
    let ada = [("user[name]", "Ada"), ("user[age]", "36")];
    let write =
        |position: &str| visitor().post(site.url("/users")).header(POSITION, position).form(&ada);
    let is_saved = |page: &Page| page.status == StatusCode::SEE_OTHER;
    let known = until(|| write(""), is_saved).await.header(POSITION).unwrap();

    let own = [Key::derive_from(&secret).signing(), b"archipelago: a position"].concat();
    let signed = |text: &str| {
        let mut jar = CookieJar::new();
        jar.signed_mut(&Key::derive_from(&own)).add(Cookie::new("any", text.to_owned()));
        jar.get("any").unwrap().value().to_owned()
    };
    let (_, text) = known.split_at(44);
    assert_eq!(signed(text), known);
    let future = &signed(&text.replacen("-1-", "-9-", 1));
    assert!(future.contains("-9-"));

    let refused = Page::of(write(future)).await;
    let others = Page::of(write(&known)).await;
    assert!(is_saved(&others), "one visitor's position stops no other: {}", others.body);
    assert!(
        is_saved(&refused) || refused.status == StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        refused.body
    );
    let saved = until(|| write(future), is_saved).await;
    assert!(saved.header(POSITION).unwrap().contains("-1-"), "the false position is dropped");
    let local = format!("{}; role=replica; reason=local", first_replica());
    until(
        || visitor().get(site.url("/users")).header(POSITION, future),
        |page| page.served_by() == local,
    )
    .await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_regions_page_shows_every_region(world: World) {
    let site = Site::new(&world).await;
    let page = site.get("/regions").await;
    let json: serde_json::Value =
        serde_json::from_str(&site.get("/regions.json").await.body).unwrap();
    for (index, info) in Repos::REGIONS.iter().enumerate() {
        page.assert_shows(info.repo);
        assert_eq!(json[index]["region"], info.code);
        assert_eq!(json[index]["repo"], info.repo);
    }
    assert_eq!(json[0]["leads"], true, "the primary");
    assert_eq!(json[1]["first_for_reads"], true, "this instance's own");
    let far =
        regions(archipelago::Role::Replica).last().filter(|far| *far != first_replica()).unwrap();
    let far = json.as_array().unwrap().iter().find(|region| region["region"] == far).unwrap();
    // The monitor may have asked it by now, on a connection of its own.
    assert_eq!(far["connections"], 0, "the page opens no connection");
    page.assert_hides("127.0.0.1");
}
