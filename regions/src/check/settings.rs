//! `[pool]` and `[routing]`: how large, how late, how many at the primary, and where writes go.

use super::keys::{self, Section};
use super::report::Report;
use super::value::{self, Value, quoted};
use super::{duration, suggest};
use crate::Writes;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

#[derive(Default)]
pub(super) struct Settings {
    pub pool_size: Option<u32>,
    pub max_lag: Option<Duration>,
    pub max_spill: Option<u32>,
    pub writes: Option<Writes>,
}

const LARGEST_POOL: u32 = 1000;
const LARGEST_SPILL: u32 = 100_000;
const LONGEST_LAG: Duration = Duration::from_hours(24);

pub(super) fn read(report: &mut Report<'_>, top: &DeTable<'_>) -> Settings {
    let mut settings = Settings::default();
    if let Some(pool) = top.get("pool").and_then(|pool| {
        value::table(report, "pool", pool, "[pool] on one line, `size = 10` below it")
    }) {
        keys::check(report, &Section::Pool, pool);
        settings.pool_size = pool.get("size").and_then(|size| pool_size(report, size));
    }
    let form = "[routing] on one line, `max_lag = \"10s\"` below it";
    if let Some(routing) =
        top.get("routing").and_then(|routing| value::table(report, "routing", routing, form))
    {
        keys::check(report, &Section::Routing, routing);
        settings.max_lag = routing.get("max_lag").and_then(|lag| max_lag(report, lag));
        settings.max_spill = routing.get("max_spill").and_then(|reads| max_spill(report, reads));
        settings.writes = routing.get("writes").and_then(|choice| writes(report, choice));
    }
    settings
}

fn pool_size(report: &mut Report<'_>, value: &Value<'_>) -> Option<u32> {
    number(report, "size", value, 10, LARGEST_POOL, |written| {
        format!("a pool cannot have {written} connections")
    })
}

fn max_spill(report: &mut Report<'_>, value: &Value<'_>) -> Option<u32> {
    number(report, "max_spill", value, 100, LARGEST_SPILL, |written| {
        format!("{written} reads cannot be under way to the primary at once")
    })
}

/// A whole number from 1 to `most`; `usual` shows one, `wrong` says what a number out of bounds would mean.
fn number(
    report: &mut Report<'_>,
    key: &str,
    value: &Value<'_>,
    usual: u32,
    most: u32,
    wrong: impl FnOnce(&str) -> String,
) -> Option<u32> {
    let possible = |number: &u32| (1..=most).contains(number);
    let DeValue::Integer(written) = value.get_ref() else {
        let meant = value
            .get_ref()
            .as_str()
            .and_then(|text| text.trim().parse().ok())
            .filter(possible)
            .unwrap_or(usual);
        value::wrong_type(report, key, value, "an integer", &format!("`{key} = {meant}`"));
        return None;
    };
    let number = u32::from_str_radix(written.as_str(), written.radix()).ok().filter(possible);
    if number.is_none() {
        report.add(
            value.span(),
            wrong(&written.to_string()),
            format!("write a `{key}` from 1 to {most}, such as `{key} = {usual}`"),
        );
    }
    number
}

fn max_lag(report: &mut Report<'_>, value: &Value<'_>) -> Option<Duration> {
    let meant = value.get_ref().as_integer().map_or_else(|| "10".to_owned(), ToString::to_string);
    let text = value::string(
        report,
        "max_lag",
        value,
        &format!("a number and ms, s, m or h in quotes, such as `max_lag = \"{meant}s\"`"),
    )?;
    match duration::parse(text) {
        Err(instead) => report.add(
            value.span(),
            format!("`max_lag` is {}, which is no duration", quoted(text)),
            instead,
        ),
        Ok(Duration::ZERO) => report.add(
            value.span(),
            format!("with a `max_lag` of {} no replica would ever serve a read", quoted(text)),
            "write at least \"1ms\", such as \"10s\"",
        ),
        Ok(lag) if lag > LONGEST_LAG => {
            report.add(
                value.span(),
                format!("a `max_lag` of {} is longer than a day", quoted(text)),
                "write at most \"24h\", such as \"10s\"",
            );
        }
        Ok(lag) => return Some(lag),
    }
    None
}

fn writes(report: &mut Report<'_>, value: &Value<'_>) -> Option<Writes> {
    let text =
        value::string(report, "writes", value, "`writes = \"replay\"` or `writes = \"direct\"`")?;
    match text {
        "replay" => return Some(Writes::Replay),
        "direct" => return Some(Writes::Direct),
        _ => {}
    }
    let instead = match suggest::nearest(text.trim(), ["replay", "direct"]) {
        Some(meant) => format!("write {meant:?}"),
        None => "write \"replay\" (run the request again at the primary) or \"direct\" (write from afar)".to_owned(),
    };
    report.add(
        value.span(),
        format!("`writes` is {}, which is neither \"replay\" nor \"direct\"", quoted(text)),
        instead,
    );
    None
}
