//! Wake-on-LAN: the magic packet that switches a machine on whose network card listens for it (AMD's Magic Packet white
//! paper, publication 20213).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::UdpSocket;

/// The port that such packets are sent to: discard, which nobody answers.
const PORT: u16 = 9;

/// The hardware address of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac([u8; 6]);

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no hardware address; write it like dc:a6:32:01:02:03");
        let parts: Vec<&str> = text.trim().split([':', '-']).collect();
        let mut bytes = [0; 6];
        if parts.len() != bytes.len() {
            return Err(wrong());
        }
        for (byte, part) in bytes.iter_mut().zip(parts) {
            if part.len() != 2 {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

/// Six bytes of ones, then the address sixteen times.
fn packet(mac: Mac) -> Vec<u8> {
    let mut packet = vec![0xff; 6];
    for _ in 0..16 {
        packet.extend_from_slice(&mac.0);
    }
    packet
}

/// Sends a magic packet to `via` (an address, such as a subnet's broadcast address), or to the local network; returns where
/// it went. That it went says nothing about the machine.
///
/// # Errors
/// A sentence, when `via` is no address or the packet cannot be sent.
pub async fn wake(mac: Mac, via: Option<&str>) -> Result<SocketAddr, String> {
    let to: SocketAddr = match via {
        None => (Ipv4Addr::BROADCAST, PORT).into(),
        Some(text) => text
            .parse()
            .or_else(|_| text.parse().map(|ip: std::net::IpAddr| (ip, PORT).into()))
            .map_err(|_| format!("{text:?} is no address to send a magic packet to"))?,
    };
    let failed =
        |error: std::io::Error| format!("the magic packet cannot be sent to {to}: {error}");
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).await.map_err(failed)?;
    socket.set_broadcast(true).map_err(failed)?;
    socket.send_to(&packet(mac), to).await.map_err(failed)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_colons_or_dashes() {
        let mac: Mac = "DC-a6-32-01-02-03".parse().unwrap();
        assert_eq!(mac.to_string(), "dc:a6:32:01:02:03");
        for bad in ["", "dc:a6:32", "dc:a6:32:01:02:zz", "dca632010203"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_magic_packet_arrives_whole() {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let via = socket.local_addr().unwrap().to_string();
        let mac: Mac = "02:00:00:00:00:2a".parse().unwrap();
        wake(mac, Some(&via)).await.unwrap();
        let mut packet = [0; 200];
        let size = socket.recv(&mut packet).await.unwrap();
        assert_eq!(size, 102);
        assert_eq!(packet[..6], [0xff; 6]);
        assert_eq!(packet[96..102], mac.0);
    }
}
