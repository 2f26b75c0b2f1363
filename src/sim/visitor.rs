//! A person at a browser: opens a Liveform URL and presses the page's buttons, over HTTP.

use reqwest::{Client, Method, StatusCode, header};

use super::{delivery, page};

/// One browser, with the cookie that tells it from others.
pub struct Visitor {
    client: Client,
    origin: String,
    cookie: Option<String>,
}

/// What the browser shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub status: u16,
    /// The title of the page.
    pub title: String,
    /// Why an error page was shown.
    pub cause: Option<String>,
}

/// The page did not come, or is not one that goes on. The URL is a secret and is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("make an HTTP client")]
    NoBrowser(#[source] std::io::Error),
    #[error("open the Liveform")]
    Unreachable(#[source] reqwest::Error),
    #[error("the page does not go on from here")]
    NoWayOn,
}

impl Visitor {
    /// `origin` is the Liveform's base address.
    pub fn new(origin: &str) -> Result<Self, Lost> {
        // It follows no redirect: where a page leads is looked at.
        let client = delivery::client().map_err(Lost::NoBrowser)?;
        Ok(Self { client, origin: origin.to_owned(), cookie: None })
    }

    /// Opens the link.
    pub async fn open(&mut self, url: &str) -> Result<Shown, Lost> {
        let (status, _, body) = self.send(Method::GET, url, None).await?;
        Ok(shown(status, &body))
    }

    /// Agrees and photographs the document. Returns the id of the submission.
    pub async fn start(&mut self, url: &str) -> Result<String, Lost> {
        // The form carries the parameters of the link along.
        let (_, form) = url.split_once('?').ok_or(Lost::NoWayOn)?;
        let to = format!("{}/liveform/start", self.origin);
        let (status, location, _) = self.send(Method::POST, &to, Some(form.to_owned())).await?;
        let submission = location.as_deref().and_then(|to| to.strip_prefix(page::SESSION));
        match submission {
            Some(submission) if status == StatusCode::SEE_OTHER => Ok(submission.to_owned()),
            Some(_) | None => Err(Lost::NoWayOn),
        }
    }

    /// Presses one of the buttons with which the simulator plays ARGOS: `approved`, `rejected`,
    /// `pending`, `retry`.
    pub async fn decide(&mut self, submission: &str, decision: &str) -> Result<Shown, Lost> {
        let form = format!("submission_id={submission}&decision={decision}");
        let to = format!("{}/liveform/decide", self.origin);
        let (_, location, _) = self.send(Method::POST, &to, Some(form)).await?;
        let location = location.ok_or(Lost::NoWayOn)?;
        self.open(&format!("{}{location}", self.origin)).await
    }

    async fn send(
        &mut self,
        method: Method,
        url: &str,
        form: Option<String>,
    ) -> Result<(StatusCode, Option<String>, String), Lost> {
        let lost = |error: reqwest::Error| Lost::Unreachable(error.without_url());
        let mut request = self.client.request(method, url);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(form) = form {
            let kind = "application/x-www-form-urlencoded";
            request = request.header(header::CONTENT_TYPE, kind).body(form);
        }
        let response = request.send().await.map_err(lost)?;
        let text = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        if let Some(cookie) = text(header::SET_COOKIE) {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        let (status, location) = (response.status(), text(header::LOCATION));
        Ok((status, location, response.text().await.map_err(lost)?))
    }
}

fn shown(status: StatusCode, body: &str) -> Shown {
    let between = |from: &str, to: &str| {
        let rest = &body[body.find(from)? + from.len()..];
        Some(rest[..rest.find(to)?].to_owned())
    };
    Shown {
        status: status.as_u16(),
        title: between("<title>", "</title>").unwrap_or_default(),
        cause: between("data-cause=\"", "\""),
    }
}
