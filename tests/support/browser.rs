//! A browser for the tests of the web pages: headless Chromium by WebDriver, as `tests/provision/browser` fetches it. It finds what a
//! person finds, by label and by name, waits as a person waits, and says what the page shows when a step fails.

mod axe;
mod driver;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

pub use axe::{Node, Violation};
pub use fantoccini::key::Key;

use driver::{Driver, Extension};

use super::{block_on, servers};

/// How long a step waits for what it acts on to be there.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long the driver may take to answer at all.
const ANSWER: Duration = Duration::from_secs(90);

/// What Chromium is started with. Nothing but the page itself goes to the network.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
];

/// The things on a page that a selector finds, as far as they can be seen, and within a modal dialog while one is open.
const FIND: &str = include_str!("browser/find.js");

/// Something on a page. Names are as a reader of the screen hears them, whole.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// What a CSS selector finds.
    Css(&'a str),
    /// A control by its label.
    Field(&'a str),
    /// A button by its name.
    Button(&'a str),
    /// A link by its name.
    Link(&'a str),
}

impl By<'_> {
    /// The selector of what it may be, and the name that it must have.
    fn selector(&self) -> (&str, Option<&str>) {
        match self {
            By::Css(selector) => (selector, None),
            By::Field(name) => ("input, select, textarea", Some(name)),
            By::Button(name) => (
                "button, summary, [role=button], input[type=submit], input[type=button]",
                Some(name),
            ),
            By::Link(name) => ("a[href], [role=link]", Some(name)),
        }
    }
}

/// A browser with one window, 1280 by 900, and a profile of its own.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    chromium: Option<i32>,
    driver: Driver,
    folder: PathBuf,
    axe: PathBuf,
}

impl Browser {
    /// Starts one. The driver's log, the profile, and a screenshot of a step that fails are kept in the folder.
    pub fn open(folder: &Path) -> Self {
        let tools = servers::provision("browser");
        let folder = folder.join(super::unique("browser"));
        std::fs::create_dir_all(&folder).expect("a folder for the browser");
        let driver = Driver::start(tools.get("chromedriver"), &folder);
        let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        flags.push(format!(
            "--user-data-dir={}",
            folder.join("profile/data").display()
        ));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": tools.get("chromium"), "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 60_000, "pageLoad": 60_000, "implicit": 0 },
        });
        let client = block_on(async {
            let connect = ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities.as_object().expect("an object").clone())
                .connect(&format!("http://127.0.0.1:{}", driver.port))
                .await;
            connect.unwrap_or_else(|error| {
                panic!(
                    "Chromium does not start: {error}; see {}",
                    driver.log.display()
                )
            })
        });
        let chromium = client
            .capabilities()
            .and_then(|found| found.get("goog:processID")?.as_i64());
        let browser = Self {
            client,
            chromium: chromium.and_then(|id| i32::try_from(id).ok()),
            driver,
            folder,
            axe: PathBuf::from(tools.get("axe")),
        };
        browser.resize(1280, 900);
        browser.dark(false);
        browser
    }

    /// Goes to a page and waits until it is loaded.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.ask(&format!("going to {url}"), self.client.goto(url));
    }

    /// Where it is.
    #[track_caller]
    pub fn url(&self) -> String {
        self.ask("the page's URL", self.client.current_url()).into()
    }

    /// The text that the page shows.
    #[track_caller]
    pub fn text(&self) -> String {
        text(&self.run("return document.body?.innerText ?? ''", &[]))
    }

    /// How many of this can be seen now.
    #[track_caller]
    pub fn count(&self, by: By) -> usize {
        self.found(by).len()
    }

    /// Waits for it to be there.
    #[track_caller]
    pub fn wait_for(&self, by: By) {
        self.wait_until(&format!("{by:?}"), PATIENCE, || self.count(by) > 0);
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str, timeout: Duration) {
        self.wait_until(&format!("the text `{text}`"), timeout, || {
            self.text().contains(text)
        });
    }

    /// Waits until something is true of the page.
    #[track_caller]
    pub fn wait_until(&self, what: &str, timeout: Duration, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            if start.elapsed() > timeout {
                self.fail(&format!("{what} is not there after {timeout:?}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Clicks on it.
    #[track_caller]
    pub fn click(&self, by: By) {
        self.act(by, "clicking on", async |element| element.click().await);
    }

    /// Fills a control: types a text in place of what it holds, chooses an option by its text, or names the file to upload.
    #[track_caller]
    pub fn fill(&self, by: By, value: &str) {
        self.act(by, "filling", async |element| {
            if element.tag_name().await? == "select" {
                return element.select_by_label(value).await;
            }
            if element.attr("type").await?.as_deref() != Some("file") {
                element.clear().await?;
            }
            element.send_keys(value).await
        });
    }

    /// The text of it; of a control, what it holds.
    #[track_caller]
    pub fn text_of(&self, by: By) -> String {
        self.act(by, "reading", async |element| {
            match element.tag_name().await?.as_str() {
                "input" | "select" | "textarea" => {
                    Ok(element.prop("value").await?.unwrap_or_default())
                }
                _ => element.text().await,
            }
        })
    }

    /// Presses keys together, such as Shift and Tab, with the focus where it is.
    #[track_caller]
    pub fn press(&self, keys: &[Key]) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for &key in keys {
            actions = actions.then(KeyAction::Down { value: key.into() });
        }
        for &key in keys.iter().rev() {
            actions = actions.then(KeyAction::Up { value: key.into() });
        }
        self.ask("pressing keys", self.client.perform_actions(actions));
    }

    /// Types a text with the focus where it is.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in text.chars() {
            actions = actions
                .then(KeyAction::Down { value })
                .then(KeyAction::Up { value });
        }
        self.ask("typing", self.client.perform_actions(actions));
    }

    /// The name of what has the focus; empty if nothing has.
    #[track_caller]
    pub fn focused(&self) -> String {
        text(&self.run(FIND, &[json!(":focus"), Value::Null, json!("name")]))
    }

    /// Makes the page's area this large, in CSS pixels; 390 by 844 is a phone.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", size);
    }

    /// Whether the reader prefers dark pages. Nobody here likes motion: a picture shows the end of it.
    #[track_caller]
    pub fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// A picture of the whole page, as far as it can be scrolled, as PNG.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        let size = &self.cdp("Page.getLayoutMetrics", json!({}))["cssContentSize"];
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let picture = self.cdp(
            "Page.captureScreenshot",
            json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
        );
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().expect("a picture"))
            .expect("base64");
        std::fs::create_dir_all(path.parent().expect("a file's folder")).expect("a folder");
        std::fs::write(path, bytes).expect("the picture can be written");
    }

    /// Checks that nothing makes the page wider than its window.
    #[track_caller]
    pub fn assert_fits(&self) {
        let wide = self.run(
            "const root = document.documentElement;
             return root.scrollWidth <= root.clientWidth ? [] : [...document.body.querySelectorAll('*')]
               .filter(e => e.getBoundingClientRect().right > root.clientWidth).map(e => e.cloneNode().outerHTML).slice(0, 5)",
            &[],
        );
        if wide != json!([]) {
            self.fail(&format!("the page is wider than its window: {wide:#}"));
        }
    }

    /// The errors that the console has got since it was asked last: of scripts, of loading, and of the page's security policy.
    #[track_caller]
    pub fn console_errors(&self) -> Vec<String> {
        let log = self.issue("se/log", json!({ "type": "browser" }));
        let entries = log.as_array().into_iter().flatten();
        entries
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| text(&entry["message"]))
            .collect()
    }

    /// Runs a script as the body of a function of these arguments; what it returns.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.ask("a script", self.client.execute(script, arguments.to_vec()))
    }

    /// A command of the Chrome DevTools Protocol; its result.
    #[track_caller]
    pub fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.issue(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        )
    }

    #[track_caller]
    fn issue(&self, path: &'static str, body: Value) -> Value {
        let what = format!("{path} {body}");
        self.ask(&what, self.client.issue_cmd(Extension { path, body }))
    }

    #[track_caller]
    fn found(&self, by: By) -> Vec<Element> {
        let (selector, name) = by.selector();
        let found = self.run(FIND, &[json!(selector), json!(name)]);
        let references = found.as_array().into_iter().flatten();
        references
            .filter_map(|reference| reference.as_object()?.values().next()?.as_str())
            .map(|id| {
                Element::from_element_id(self.client.clone(), ElementRef::from(id.to_owned()))
            })
            .collect()
    }

    /// Does something to the only one of its kind. What a live page replaces or covers meanwhile is looked for again.
    #[track_caller]
    fn act<T>(
        &self,
        by: By,
        doing: &str,
        mut action: impl AsyncFnMut(&Element) -> Result<T, CmdError>,
    ) -> T {
        let start = Instant::now();
        loop {
            let found = self.found(by);
            let obstacle = match found.as_slice() {
                [element] => {
                    match block_on(async { tokio::time::timeout(ANSWER, action(element)).await }) {
                        Ok(Ok(value)) => return value,
                        Ok(Err(error)) if passes(&error) => error.to_string(),
                        Ok(Err(error)) => self.fail(&format!("{doing} {by:?}: {error}")),
                        Err(_) => panic!("{doing} {by:?}: no answer in {ANSWER:?}"),
                    }
                }
                [] => "it is not there".to_owned(),
                many => format!("there are {} of it", many.len()),
            };
            if start.elapsed() > PATIENCE {
                self.fail(&format!("{doing} {by:?}: {obstacle} after {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn ask<T, E: Display>(&self, what: &str, answer: impl Future<Output = Result<T, E>>) -> T {
        match block_on(async { tokio::time::timeout(ANSWER, answer).await }) {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => panic!("{what}: {error}"),
            Err(_) => panic!(
                "{what}: no answer in {ANSWER:?}; see {}",
                self.driver.log.display()
            ),
        }
    }

    /// Fails the test with what the page shows.
    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let picture = self.folder.join("failed.png");
        let (url, text) = (self.url(), self.text());
        self.screenshot(&picture);
        panic!("{why}\nat {url}, see {}\n{text}", picture.display());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = self.client.clone().close();
        let closed = block_on(async { tokio::time::timeout(Duration::from_secs(10), close).await });
        if !matches!(closed, Ok(Ok(())))
            && let Some(chromium) = self.chromium.and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(chromium, rustix::process::Signal::KILL);
        }
        let _ = std::fs::remove_dir_all(self.folder.join("profile"));
    }
}

/// Whether the next try may go well, for a live page changes while it is being used.
fn passes(error: &CmdError) -> bool {
    matches!(error, CmdError::Standard(error) if matches!(
        error.error,
        ErrorStatus::StaleElementReference
            | ErrorStatus::ElementClickIntercepted
            | ErrorStatus::ElementNotInteractable
            | ErrorStatus::NoSuchElement
    ))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
