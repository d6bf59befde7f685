//! An HTTP/2 server that writes each frame itself, so that it can send what no library would.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) const ROOT: &[u8] = include_bytes!("data/tls/root.pem");
const CERTIFICATE: &[u8] = include_bytes!("data/tls/server.pem");
const PRIVATE_KEY: &[u8] = include_bytes!("data/tls/server.key");

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) fn tls() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

/// One connection, after the handshake.
pub(crate) struct Peer(StreamOwned<ServerConnection, TcpStream>);

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Peer {
    fn accept(stream: TcpStream) -> io::Result<Self> {
        let mut config = (*tls()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut peer = Self(StreamOwned::new(tls, stream));
        peer.0.read_exact(&mut [0; PREFACE])?;
        peer.write(SETTINGS, 0, 0, &[])?;
        Ok(peer)
    }

    /// Reads a frame, and answers nothing.
    pub(crate) fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        self.0.read_exact(&mut vec![0; length as usize])?;
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        })
    }

    pub(crate) fn write(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.write_all(&length[1..])?;
        self.0.write_all(&[kind, flags])?;
        self.0.write_all(&stream.to_be_bytes())?;
        self.0.write_all(payload)?;
        self.0.flush()
    }

    /// Reads up to the end of a request, and returns its stream.
    pub(crate) fn request(&mut self) -> io::Result<u32> {
        loop {
            let frame = self.read()?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[])?,
                PING if frame.flags & ACK == 0 => self.write(PING, ACK, 0, &[0; 8])?,
                HEADERS | DATA if frame.flags & END_STREAM != 0 => return Ok(frame.stream),
                _ => {}
            }
        }
    }

    /// Answers 200 with an empty object.
    pub(crate) fn answer(&mut self, stream: u32) -> io::Result<()> {
        // 0x88 is `:status 200` in the static table of HPACK.
        self.write(HEADERS, END_HEADERS, stream, &[0x88])?;
        self.write(DATA, END_STREAM, stream, b"{}")
    }

    pub(crate) fn answer_all(&mut self) -> io::Result<()> {
        let mut seen = HashSet::new();
        loop {
            let stream = self.request()?;
            assert!(seen.insert(stream));
            self.answer(stream)?;
        }
    }

    /// Reads on without a word, until the other side closes.
    pub(crate) fn stay_silent(&mut self) -> io::Result<()> {
        loop {
            self.read()?;
        }
    }
}

/// Lets `speak` have each connection, with its number from 0 on. Returns the port and how many
/// there were. The threads end with their connections; the one that listens ends with the process.
pub(crate) fn listen(
    speak: impl Fn(usize, &mut Peer) -> io::Result<()> + Clone + Send + 'static,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let number = counted.fetch_add(1, SeqCst);
            let speak = speak.clone();
            thread::spawn(move || speak(number, &mut Peer::accept(stream.unwrap())?));
        }
    });
    (port, count)
}
