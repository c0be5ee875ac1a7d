//! Compares how a URL is read here with how libpq reads it, on thousands of odd URLs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use archipelago_lab::World;

use super::conninfo::Conninfo;
use super::{UrlError, parameter};

/// Prints for each URL, a line each, what libpq reads: `name=value` in hex, or `!` where it refuses.
const READER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef struct { char *keyword, *envvar, *compiled, *val, *label, *dispchar; int dispsize; } Option;

int main(int argc, char **argv) {
    char line[65536];
    void *libpq = dlopen(argv[1], RTLD_NOW);
    if (!libpq) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    Option *(*parse)(const char *, char **) = (Option *(*)(const char *, char **)) dlsym(libpq, "PQconninfoParse");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *error = NULL;
        Option *option = parse(line, &error);
        if (!option) { puts("!"); continue; }
        for (; option->keyword; option++) {
            if (!option->val) continue;
            printf("%s=", option->keyword);
            for (unsigned char *byte = (unsigned char *) option->val; *byte; byte++) printf("%02x", *byte);
            putchar(' ');
        }
        putchar('\n');
    }
    return 0;
}
"#;

/// A byte that is no text. libpq takes it.
const NOT_UTF8: &str = "%ff";

/// How many URLs are compared.
const COUNT: usize = 20_000;

/// Parts of URLs, and what breaks them. No space: libpq before 18 takes it for itself.
const PARTS: &[&[&str]] = &[
    &["postgres://", "postgresql://", "postgres:/", "Postgres://", "mysql://", "postgres:"],
    &[
        "",
        "u",
        "u%40v",
        "%E2%82%AC",
        "%zz",
        "ü",
        "u%",
        "u?",
        "u#",
        "u[",
        "%00",
        NOT_UTF8,
        "+",
        "u,v",
    ],
    &[
        "", ":", ":p", ":p%2Fq", ":p?q", ":p#q", ":p/q", ":p:q", ":%", ":p&q=r", ":p=q", ":p+q",
        ":/p",
    ],
    &["@", "@", "@", "", "@@", "%40"],
    &[
        "h",
        "h.example",
        "",
        "[::1]",
        "[::1",
        "[]",
        "[::1]x",
        "%2Fvar%2Frun",
        "h,i",
        "h:1,i:2",
        "h,,i",
        "127.0.0.1",
        "H.Example.",
        ",",
        "[::1]:1,h:2",
        "h:1,i",
        "fe80%3A%3A1",
        "@abstract",
    ],
    &["", ":5432", ":", ":x", ":0", ":99999", ":1,2", ":%35"],
    &["/", "", "/app", "/a%2Fb", "/a/b", "/a?", "/%zz", "/a#b", "/a@b"],
    &[
        "",
        "?",
        "?sslmode=require",
        "?sslmode=",
        "?sslmode",
        "?sslmode=a=b",
        "&sslmode=require",
        "?host=a,b&port=1,2",
        "?host=%2Fs",
        "?user=v&user=w",
        "?password=p%26q",
        "?ssl=true",
        "?ssl=false",
        "?&",
        "?=x",
        "?dbname=d&",
        "?options=-c%20a%3Db",
        "?Host=a",
        "?nonsense=1",
        "?application_name=a+b",
        "?connect_timeout=3#x",
        "?target_session_attrs=any&&user=v",
        "?%75ser=v",
        "?user=%",
        "?hostaddr=1.2.3.4&sslrootcert=/a?b",
    ],
];

/// What a URL says, by name; None where it is refused.
type Reading = Option<BTreeMap<String, Vec<u8>>>;

#[archipelago_lab::test(primary = "home")]
async fn urls_are_read_as_libpq_reads_them(world: World) {
    let mut random = fastrand::Rng::with_seed(14);
    let urls: Vec<_> = (0..COUNT).map(|_| odd_url(&mut random)).collect();
    let (mut taken, mut refused) = (0, 0);
    for (url, libpq) in urls.iter().zip(as_libpq(&urls, &libpq(&world))) {
        *if libpq.is_some() { &mut taken } else { &mut refused } += 1;
        // Text here is UTF-8, also where another parameter replaces it.
        let expected = libpq.filter(|read| !url.contains(NOT_UTF8) && is_text(read));
        assert!(as_here(url) == expected, "{url}");
        if expected.is_some() {
            let conninfo = Conninfo::parse(url).unwrap();
            let written = conninfo.to_string();
            let again = Conninfo::parse(&written).expect(&written);
            assert!(again.iter().collect::<BTreeMap<_, _>>() == conninfo.iter().collect(), "{url}");
        }
    }
    assert!(taken > COUNT / 10 && refused > COUNT / 10, "{taken} taken, {refused} refused");
}

fn is_text(reading: &BTreeMap<String, Vec<u8>>) -> bool {
    reading.values().all(|value| std::str::from_utf8(value).is_ok())
}

/// One part after the other, sometimes with a character more or less.
fn odd_url(random: &mut fastrand::Rng) -> String {
    let mut url: String = PARTS.iter().map(|parts| parts[usual(random, parts.len())]).collect();
    if random.u8(..4) == 0 {
        let at = random.usize(..url.len());
        if url.is_char_boundary(at) {
            let odd = b"@:/?#[]%&=,.+\\'\"";
            url.insert(at, char::from(odd[random.usize(..odd.len())]));
        }
    }
    url
}

/// The first ones are tried most often.
fn usual(random: &mut fastrand::Rng, count: usize) -> usize {
    random.usize(..count).min(random.usize(..count))
}

fn as_here(url: &str) -> Reading {
    let conninfo = Conninfo::parse(url).ok()?;
    if matches!(parameter::check(&conninfo), Err(UrlError::Unknown)) {
        return None;
    }
    let pairs = conninfo.pairs();
    Some(pairs.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect())
}

fn as_libpq(urls: &[String], libpq: &Path) -> Vec<Reading> {
    let folder = tempfile::tempdir().unwrap();
    let (source, reader) = (folder.path().join("reader.c"), folder.path().join("reader"));
    std::fs::write(&source, READER).unwrap();
    let built = Command::new("cc").arg(&source).arg("-o").arg(&reader).arg("-ldl").status();
    assert!(built.unwrap().success());
    let mut child = Command::new(reader)
        .arg(libpq)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = urls.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = answers.lines().map(reading).collect();
    assert_eq!(answers.len(), urls.len());
    answers
}

fn reading(answer: &str) -> Reading {
    let value = |digits: &str| {
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    let pairs = answer.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    (answer != "!").then(|| pairs.map(|(name, digits)| (name.to_owned(), value(digits))).collect())
}

/// The libpq of the tests' PostgreSQL, or else the system's.
fn libpq(world: &World) -> PathBuf {
    let bin = world.postgres().bin();
    let beside = bin.parent().unwrap_or(bin).join("lib/libpq.so.5");
    if beside.exists() { beside } else { PathBuf::from("libpq.so.5") }
}
