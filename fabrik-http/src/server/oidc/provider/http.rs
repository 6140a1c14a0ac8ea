//! Requests to providers, over our client for HTTP.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

/// How long a provider may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More is no answer to what is asked here.
const MOST_BYTES: usize = 1 << 20;

/// Asks providers. Redirects are not followed: they would carry the secret to wherever the provider says.
#[derive(Debug)]
pub(super) struct Http(reqwest::Client);

/// Why a provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFailure {
    #[error("the file {path} with authorities cannot be read")]
    Authorities { path: String, source: std::io::Error },
    #[error("the authorities cannot be used")]
    Client(#[source] reqwest::Error),
    #[error("the provider did not answer")]
    Request(#[source] reqwest::Error),
    #[error("the provider's answer is larger than {MOST_BYTES} bytes")]
    TooLarge,
}

impl Http {
    /// Makes a client that trusts the authorities of a file, too.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, HttpFailure> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent("fabrik");
        if let Some(path) = ca {
            let pem = std::fs::read(path)
                .map_err(|source| HttpFailure::Authorities { path: path.display().to_string(), source })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(HttpFailure::Client)?;
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map(Self).map_err(HttpFailure::Client)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        // The address may hold a code or a token, which no error shall tell.
        let failed = |error: reqwest::Error| HttpFailure::Request(error.without_url());
        let request = request.try_into().map_err(failed)?;
        let mut response = self.0.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(HttpFailure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpFailure;
    type Future = BoxFuture<'c, Result<HttpResponse, HttpFailure>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
