//! A person at a browser: signs in, goes from page to page, and looks at each.

use std::time::Duration;

use serde_json::json;

use crate::support::browser::{Browser, By, Key};
use crate::support::root;
use crate::support::service::Service;

/// A browser that has a service before it.
pub(super) struct Desk {
    pub(super) browser: Browser,
    pub(super) service: Service,
}

impl Desk {
    pub(super) fn new(service: Service) -> Self {
        Self {
            browser: Browser::open(&root().join("target/browser")),
            service,
        }
    }

    pub(super) fn go(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.service.url));
    }

    pub(super) fn sign_in(&self, token: &str) {
        self.go("/login");
        self.browser.fill(By::Field("Token"), token);
        self.browser.click(By::Button("Sign in"));
        self.browser
            .wait_for_text("Data sources", Duration::from_secs(10));
    }

    pub(super) fn sign_out(&self) {
        self.browser.click(By::Button("Sign out"));
        self.browser.wait_for(By::Field("Token"));
    }

    /// Takes pictures of the page, and checks that anybody can use it.
    #[track_caller]
    pub(super) fn look(&self, name: &str) {
        let browser = &self.browser;
        // The head of the page stays at the window's top.
        browser.run("scrollTo(0, 0)", &[]);
        let picture = |kind: &str| {
            let file = format!("target/screenshots/{name}-{kind}.png");
            browser.screenshot(&root().join(file));
        };
        browser.assert_fits();
        browser.assert_accessible();
        picture("light");
        browser.dark(true);
        browser.assert_accessible();
        picture("dark");
        browser.dark(false);
        browser.resize(390, 844);
        browser.assert_fits();
        picture("narrow");
        browser.resize(1280, 900);
        assert_eq!(browser.console_errors(), Vec::<String>::new(), "{name}");
    }

    /// Presses Tab until this has the focus.
    #[track_caller]
    pub(super) fn tab_to(&self, name: &str) {
        for _ in 0..60 {
            self.browser.press(&[Key::Tab]);
            if self.browser.focused() == name {
                return;
            }
        }
        panic!("Tab doesn't lead to `{name}`: {}", self.browser.text());
    }

    /// Rows of a table that its load has read, as the Tables tab shows it.
    pub(super) fn rows_read(&self, table: &str) -> u64 {
        let script = "const row = [...document.querySelectorAll('.tables tbody tr')].find(row => row.querySelector('th code')?.textContent.endsWith('.' + arguments[0]));
            return row?.querySelector('[data-label=Read]')?.textContent ?? ''";
        let text = self.browser.run(script, &[json!(table)]);
        text.as_str()
            .unwrap_or_default()
            .replace(',', "")
            .parse()
            .unwrap_or_default()
    }

    /// The step of the phase line that the pipe is at.
    pub(super) fn step(&self) -> String {
        let step =
            "return document.querySelector('.phases [aria-current] strong')?.textContent ?? ''";
        self.browser
            .run(step, &[])
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
