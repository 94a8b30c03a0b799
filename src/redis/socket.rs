//! The stream under a connection, which is a TCP socket: its options, and how it came to its end.
//!
//! Knows nothing of the protocol.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpSocket;

/// Bytes that nobody acknowledges for this long end a connection: a node that lost its power sends no FIN.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// Keeps a silent connection known to what tracks it on the way.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Why there is no connection, or no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// No connection within the deadline, or bytes that nobody acknowledged.
    #[error("connection timed out")]
    Timeout,
    /// The other side closed or reset it.
    #[error("closed by the server")]
    Eof,
    /// The network says no.
    #[error("{0}")]
    Io(String),
    /// Bytes that are not the protocol.
    #[error("ended by an answer that is not Redis's protocol")]
    Protocol,
    /// We closed it.
    #[error("closed by the operator")]
    Closed,
}

impl End {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Eof,
            _ => Self::Io(error.to_string()),
        }
    }
}

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens streams to a Redis. The operator's is [`Tcp`]; a test may have its servers in memory.
pub trait Dial: Send + Sync {
    /// Opens one.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Stream>, End>>;
}

/// The network.
pub struct Tcp;

impl Dial for Tcp {
    /// Closing the stream sends a reset: nothing of ours is delivered after we gave it up.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Stream>, End>> {
        Box::pin(async move {
            let socket = prepare(address).map_err(|error| End::of(&error))?;
            let stream = socket.connect(address).await.map_err(|error| End::of(&error))?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Opens a connection.
pub(super) async fn connect(dial: &dyn Dial, address: SocketAddr) -> Result<Watched, End> {
    let stream = dial.dial(address).await?;
    Ok(Watched {
        stream,
        end: Arc::default(),
    })
}

fn prepare(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// A stream that remembers how it ended.
pub(super) struct Watched {
    stream: Box<dyn Stream>,
    end: Arc<OnceLock<End>>,
}

impl Watched {
    /// Where the end will be found, also after the stream has been given away.
    pub(super) fn end(&self) -> Arc<OnceLock<End>> {
        self.end.clone()
    }

    fn note<T>(&self, result: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = result {
            self.end.get_or_init(|| End::of(error));
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(result, Poll::Ready(Ok(()))) && buf.filled().len() == before && room > 0 {
            self.end.get_or_init(|| End::Eof);
        }
        self.note(&result);
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(&result);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
