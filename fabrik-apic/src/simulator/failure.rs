//! Why a simulator does not start or refuses a change.

use std::io;
use std::net::SocketAddr;

use super::error::ApicError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a simulator does not start, or refuses what a test asks of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The threads of the simulator cannot be started.
    #[error("cannot start the threads of the simulator")]
    Runtime {
        /// What the operating system said.
        source: io::Error,
    },
    /// The certificate cannot be made.
    #[error("cannot make a certificate for the simulator")]
    Tls {
        /// What the TLS library said.
        source: BoxError,
    },
    /// The certificate of a user is none.
    #[error("certificate {certificate} of user {user} is not a PEM certificate or public key")]
    UserCertificate {
        /// The name of the user.
        user: String,
        /// The name of the certificate.
        certificate: String,
    },
    /// The fabric refuses a query or a change.
    #[error("the simulated controller answers {status} with code {code}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code of the controller.
        code: u32,
        /// The text of the controller.
        text: String,
    },
}

impl From<ApicError> for SimulatorError {
    fn from(error: ApicError) -> Self {
        Self::Refused { status: error.status, code: error.code, text: error.text }
    }
}
