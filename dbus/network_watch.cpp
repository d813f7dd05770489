#include "dbus/network_watch.h"

#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

namespace devid {
namespace {

/// More links than that are not told apart: each message of theirs counts.
constexpr std::size_t most_links = 1024;
/// A datagram is at most that long (the kernel's NLMSG_GOODSIZE, and room); what is cut off is not looked at.
constexpr std::size_t datagram_limit = 32UL * 1024;
/// So many at a time, then others have their turn.
constexpr int most_datagrams = 64;

/// A struct at the beginning of these bytes, if they are enough.
template <class T>
std::optional<T> read(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// Of this host alone, or not yet in use.
bool is_address_of_use(const ifaddrmsg& address) {
  return address.ifa_scope < RT_SCOPE_LINK && (address.ifa_flags & IFA_F_TENTATIVE) == 0;
}

bool is_route_of_use(const rtmsg& route) { return route.rtm_type == RTN_UNICAST && route.rtm_table != RT_TABLE_LOCAL; }

}  // namespace

/// Whether this link had no carrier before, as far as it is known. The loopback interface leads nowhere.
bool NetworkMessages::link_came_up(int index, unsigned flags) {
  constexpr unsigned carrier = IFF_UP | IFF_RUNNING;
  if ((flags & IFF_LOOPBACK) != 0) return false;
  if ((flags & carrier) != carrier) {
    links_up_.erase(index);
    return false;
  }
  return links_up_.size() >= most_links || links_up_.insert(index).second;
}

bool NetworkMessages::bring_network(std::span<const std::byte> datagram) {
  bool brings = false;
  while (const auto header = read<nlmsghdr>(datagram)) {
    if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > datagram.size()) break;
    const auto body = datagram.first(header->nlmsg_len).subspan(sizeof(nlmsghdr));
    if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) {
      const auto link = read<ifinfomsg>(body);
      const bool gone = header->nlmsg_type == RTM_DELLINK;
      if (link && link_came_up(link->ifi_index, gone ? 0 : link->ifi_flags)) brings = true;
    } else if (header->nlmsg_type == RTM_NEWADDR) {
      const auto address = read<ifaddrmsg>(body);
      if (address && is_address_of_use(*address)) brings = true;
    } else if (header->nlmsg_type == RTM_NEWROUTE) {
      const auto route = read<rtmsg>(body);
      if (route && is_route_of_use(*route)) brings = true;
    }
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header->nlmsg_len), datagram.size()));
  }
  return brings;
}

NetworkWatch::NetworkWatch(EventLoop& loop, std::function<void()> changed)
    : loop_(loop), changed_(std::move(changed)) {}

Result<> NetworkWatch::start() {
  if (is_on()) return {};
  fd_ = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how bind(2) wants it
  if (fd_ < 0 || ::bind(fd_, reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    const int error = errno;
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    return fail({.code = Errc::internal,
                 .retry = Retry::later,
                 .what = "cannot listen for changes of the network",
                 .reason = std::generic_category().message(error),
                 .hint = "RestrictAddressFamilies= of devidd.service has to hold AF_NETLINK"});
  }
  messages_ = {};
  loop_.watch(fd_, [this] { look(); });
  return {};
}

void NetworkWatch::stop() {
  if (!is_on()) return;
  loop_.unwatch(fd_);
  ::close(std::exchange(fd_, -1));
}

void NetworkWatch::look() {
  alignas(nlmsghdr) std::array<std::byte, datagram_limit> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  bool brings = false;
  for (int i = 0; i < most_datagrams; ++i) {
    sockaddr_nl sender{};
    iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t got = ::recvmsg(fd_, &message, MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS) {
      brings = true;  // some were lost: among them may have been the one
      continue;
    }
    if (got <= 0) break;
    // Only the kernel is believed; port 0 is nobody else's.
    if (message.msg_namelen < sizeof sender || sender.nl_pid != 0) continue;
    if (messages_.bring_network(std::span(buffer).first(static_cast<std::size_t>(got)))) brings = true;
  }
  if (brings) changed_();
}

}  // namespace devid
