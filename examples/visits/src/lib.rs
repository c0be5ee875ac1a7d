//! A program as a process, in Chicago: its reads come from the replica there. For the tests of both
//! programs.

use std::process::Stdio;

use archipelago_lab::World;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A program that serves, and a visitor with a jar of cookies.
pub struct Program {
    child: Child,
    client: Client,
    address: String,
}

impl Program {
    /// Creates the tables of `schema`, and starts `program` with the settings of an operator.
    pub async fn start(world: &World, program: &str, schema: &str) -> Self {
        let primary = world.primary().client().await.unwrap();
        primary.batch_execute(schema).await.unwrap();
        world.catch_up().await.unwrap();
        let url = |region| world.server(region).unwrap().url();
        let mut child = Command::new(program)
            .env("DATABASE_URL", url("nrt"))
            .env("DATABASE_URL_ORD", url("ord"))
            .env("DATABASE_URL_AMS", url("ams"))
            .env("FLY_REGION", "ord")
            .env("SECRET_KEY", "0123456789abcdef".repeat(4))
            .env("PORT", "0")
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the program listens");
            if let Some(address) = line.strip_prefix("listening on ") {
                break address.to_owned();
            }
        };
        // A full pipe would stop the program.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                println!("{line}");
            }
        });
        // The lab's reqwest leaves the choice of a TLS provider to the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().cookie_store(true).build().unwrap();
        Self { child, client, address }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(self.client.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.send(self.client.post(self.url(path)).json(&body)).await
    }

    /// Lets the program end as an operator does.
    pub async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        assert!(self.child.wait().await.unwrap().success());
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        request.send().await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

pub async fn json(response: Response) -> Value {
    assert!(response.status().is_success(), "{response:?}");
    response.json().await.unwrap()
}

pub fn served_by(response: &Response) -> &str {
    response.headers()["x-served-by"].to_str().unwrap()
}
