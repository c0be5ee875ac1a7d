//! Prometheus's own programs, as Debian's package `prometheus` has them. Where they are missing, a test
//! says so and leaves them out.

use std::fs;
use std::io::{self, Write};
use std::process::{Child, Command, Output, Stdio};

use archipelago_lab::eventually;
use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use super::monitoring::free_port;
use super::site::{DEADLINE, visitor};

/// Runs `promtool` on this input. None where it is not installed.
pub fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = start(&mut command)?;
    // It may have refused its arguments already.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    Some(process.wait_with_output().unwrap())
}

/// None where the program is not installed.
fn start(command: &mut Command) -> Option<Child> {
    match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: Prometheus is not installed (apt-get install prometheus)");
            None
        }
        started => Some(started.unwrap()),
    }
}

/// A Prometheus that watches one program, each second.
pub struct Prometheus {
    process: Child,
    address: String,
    client: Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with these rules. None where it is not installed.
    pub async fn start(watched_port: u16, rules: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let rules = file("rules.yml", rules);
        let settings = file(
            "prometheus.yml",
            &format!(
                "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 250ms }}\n\
                 rule_files: [{rules}]\n\
                 scrape_configs:\n\
                 - job_name: app\n  \
                   static_configs: [{{ targets: [\"127.0.0.1:{watched_port}\"] }}]\n"
            ),
        );
        let address = format!("127.0.0.1:{}", free_port());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={settings}"))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log);
        let process = start(&mut command)?;
        let address = format!("http://{address}");
        let prometheus = Self { process, address, client: visitor(), _folder: folder };
        eventually("Prometheus has read the metrics", DEADLINE, async || {
            let up = prometheus.query("up == 1").await?;
            if up.as_array().is_some_and(|series| !series.is_empty()) {
                Ok(())
            } else {
                Err(up.to_string())
            }
        })
        .await;
        Some(prometheus)
    }

    /// The series of an expression, or why it makes none.
    pub async fn query(&self, expression: &str) -> Result<Value, String> {
        let answer = self.api("query", &[("query", expression)]).await?;
        Ok(answer["result"].clone())
    }

    /// The alerts that fire or wait for their time, with their labels.
    pub async fn alerts(&self) -> Result<Vec<Value>, String> {
        let mut answer = self.api("alerts", &[]).await?;
        serde_json::from_value(answer["alerts"].take()).map_err(|error| error.to_string())
    }

    /// Whether each rule was evaluated, and why one could not be.
    pub async fn has_evaluated_rules(&self) -> Result<(), String> {
        let answer = self.api("rules", &[]).await?;
        let groups = answer["groups"].as_array().ok_or("no list of rules")?;
        for rule in groups.iter().filter_map(|group| group["rules"].as_array()).flatten() {
            if rule["health"] != "ok" {
                return Err(rule.to_string());
            }
        }
        if groups.is_empty() { Err("no rules".to_owned()) } else { Ok(()) }
    }

    /// Asks its HTTP API: <https://prometheus.io/docs/prometheus/latest/querying/api/>.
    async fn api(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.address);
        let request =
            if form.is_empty() { self.client.get(url) } else { self.client.post(url).form(form) };
        let response = request.send().await.map_err(|error| error.to_string())?;
        let text = response.text().await.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(text) }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
