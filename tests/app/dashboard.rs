//! deploy/grafana.json and deploy/alerts.yml ask for metrics that the program has, in expressions that
//! Prometheus understands.

use std::collections::BTreeSet;

use archipelago_lab::World;
use serde_json::Value;

use super::monitoring::{Instance, names, text};
use super::prometheus::Prometheus;
use super::site::{PRIMARY, REPLICAS, environment};

/// The expressions of a dashboard, with values in place of Grafana's variables.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expression = |target: &Value| {
        let text = target["expr"].as_str().unwrap();
        text.replace("$__rate_interval", "1m").replace("$region", ".*")
    };
    targets.map(expression).collect()
}

/// The metrics that a text names. Those of a histogram without their endings.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| word.starts_with("archipelago_") || word.starts_with("http_");
    let endings = ["_bucket", "_count", "_sum"];
    words
        .filter(is_metric)
        .map(|word| endings.iter().find_map(|it| word.strip_suffix(it)).unwrap_or(word))
        .collect()
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_dashboard_and_the_alerts_ask_for_what_is_there(world: World) {
    let instance = Instance::start(environment(&world).await).await;
    instance.create_user().await;
    instance.get("/users").await;
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana.json")).unwrap();
    let (expressions, alerts) = (expressions(&dashboard), text("deploy/alerts.yml"));
    let (page, asked) = (instance.metrics().await, expressions.join("\n") + &alerts);
    let shown = names(&page);
    let unknown: Vec<_> = metrics_in(&asked).into_iter().filter(|it| !shown.contains(it)).collect();
    assert!(unknown.is_empty(), "deploy/ asks for {unknown:?}, which the program does not show");

    let watched = Prometheus::start(instance.metrics_port, &alerts).await;
    let Some(prometheus) = watched else { return };
    for expression in expressions {
        let answer = prometheus.query(&expression).await;
        assert!(answer.is_ok(), "{expression}: {answer:?}");
    }
}

/// Panels beside and below each other, none over another, each with a name of its own.
#[test]
fn the_dashboard_is_laid_out() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(titles.insert(panel["title"].as_str().unwrap()), "{panel}");
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{panel}");
            }
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "region"]);
}
