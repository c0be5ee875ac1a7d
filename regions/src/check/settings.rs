//! `[pool]` and `[routing]`: the size of pools, and the rules for reads and writes.

use super::keys::{self, Section};
use super::source_file::SourceFile;
use super::value::{self, Value, quoted};
use super::{duration, suggest};
use crate::regions::Writes;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

#[derive(Default)]
pub(super) struct Settings {
    pub pool_size: Option<u32>,
    pub max_lag: Option<Duration>,
    pub max_spill: Option<u32>,
    pub writes: Option<Writes>,
    pub follow_promotions: Option<bool>,
}

const POOL_SIZE_LIMIT: u32 = 1000;
const MAX_SPILL_LIMIT: u32 = 100_000;
const MAX_LAG_LIMIT: Duration = Duration::from_hours(24);

pub(super) fn read(source: &mut SourceFile<'_>, top: &DeTable<'_>) -> Settings {
    let mut settings = Settings::default();
    let form = "[pool] on one line and `size = 10` below it";
    if let Some(pool) = top.get("pool").and_then(|pool| value::table(source, "pool", pool, form)) {
        keys::check(source, &Section::Pool, pool);
        let size = pool.get("size");
        settings.pool_size =
            size.and_then(|size| number(source, "size", size, 10, POOL_SIZE_LIMIT));
    }
    let form = "[routing] on one line and `max_lag = \"10s\"` below it";
    if let Some(routing) =
        top.get("routing").and_then(|routing| value::table(source, "routing", routing, form))
    {
        keys::check(source, &Section::Routing, routing);
        settings.max_lag = routing.get("max_lag").and_then(|lag| max_lag(source, lag));
        settings.max_spill = routing
            .get("max_spill")
            .and_then(|reads| number(source, "max_spill", reads, 100, MAX_SPILL_LIMIT));
        settings.follow_promotions = routing
            .get("follow_promotions")
            .and_then(|choice| boolean(source, "follow_promotions", choice, false));
        settings.writes = routing.get("writes").and_then(|choice| writes(source, choice));
    }
    settings
}

/// A whole number from 1 to `max`; `usual` is the example in messages.
pub(super) fn number(
    source: &mut SourceFile<'_>,
    key: &str,
    value: &Value<'_>,
    usual: u32,
    max: u32,
) -> Option<u32> {
    let is_in_range = |number: &u32| (1..=max).contains(number);
    let DeValue::Integer(written) = value.get_ref() else {
        let quoted_number = value.get_ref().as_str().and_then(|text| text.trim().parse().ok());
        let example = quoted_number.filter(is_in_range).unwrap_or(usual);
        value::report_wrong_type(source, key, value, "an integer", &format!("`{key} = {example}`"));
        return None;
    };
    let number = u32::from_str_radix(written.as_str(), written.radix()).ok().filter(is_in_range);
    if number.is_none() {
        source.report(
            value.span(),
            format!("`{key}` is {written}, which is out of range"),
            format!("write a `{key}` from 1 to {max}, such as `{key} = {usual}`"),
        );
    }
    number
}

fn max_lag(source: &mut SourceFile<'_>, value: &Value<'_>) -> Option<Duration> {
    let number = value.get_ref().as_integer().map_or_else(|| "10".to_owned(), ToString::to_string);
    let form = format!("a number with ms, s, m or h in quotes, such as `max_lag = \"{number}s\"`");
    let text = value::string(source, "max_lag", value, &form)?;
    let (problem, fix) = match duration::parse(text) {
        Err(fix) => (format!("`max_lag` is {}, which is not a duration", quoted(text)), fix),
        Ok(Duration::ZERO) => (
            format!("with a `max_lag` of {}, no replica would ever serve a read", quoted(text)),
            "write at least \"1ms\", such as \"10s\"".to_owned(),
        ),
        Ok(lag) if lag > MAX_LAG_LIMIT => (
            format!("a `max_lag` of {} is longer than a day", quoted(text)),
            "write at most \"24h\", such as \"10s\"".to_owned(),
        ),
        Ok(lag) => return Some(lag),
    };
    source.report(value.span(), problem, fix);
    None
}

/// True or false; `example` is the one that a file would say.
fn boolean(
    source: &mut SourceFile<'_>,
    key: &str,
    value: &Value<'_>,
    example: bool,
) -> Option<bool> {
    let choice = value.get_ref().as_bool();
    if choice.is_none() {
        value::report_wrong_type(source, key, value, "a boolean", &format!("`{key} = {example}`"));
    }
    choice
}

fn writes(source: &mut SourceFile<'_>, value: &Value<'_>) -> Option<Writes> {
    let form = "`writes = \"replay\"` or `writes = \"direct\"`";
    let text = value::string(source, "writes", value, form)?;
    match text {
        "replay" => return Some(Writes::Replay),
        "direct" => return Some(Writes::Direct),
        _ => {}
    }
    let fix = match suggest::closest(text.trim(), ["replay", "direct"]) {
        Some(closest) => format!("write {closest:?}"),
        None => {
            "write \"replay\" (rerun the request in the primary's region) or \"direct\" (write \
                 across regions)"
                .to_owned()
        }
    };
    let problem = format!("`writes` is {}, neither \"replay\" nor \"direct\"", quoted(text));
    source.report(value.span(), problem, fix);
    None
}
