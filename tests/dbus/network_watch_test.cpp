#include "dbus/network_watch.h"

#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <vector>

namespace devid {
namespace {

using Datagram = std::vector<std::byte>;

template <class Body>
void append(Datagram& datagram, std::uint16_t type, const Body& body,
            std::size_t length = sizeof(nlmsghdr) + sizeof(Body)) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(length);
  header.nlmsg_type = type;
  const std::size_t at = datagram.size();
  datagram.resize(at + NLMSG_ALIGN(sizeof header + sizeof body));
  std::memcpy(datagram.data() + at, &header, sizeof header);
  std::memcpy(datagram.data() + at + sizeof header, &body, sizeof body);
}

Datagram link(unsigned flags, int index = 2, std::uint16_t type = RTM_NEWLINK) {
  Datagram datagram;
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = flags;
  append(datagram, type, body);
  return datagram;
}

Datagram address(unsigned char scope, unsigned char flags = 0, std::uint16_t type = RTM_NEWADDR) {
  Datagram datagram;
  ifaddrmsg body{};
  body.ifa_scope = scope;
  body.ifa_flags = flags;
  append(datagram, type, body);
  return datagram;
}

Datagram route(unsigned char kind, unsigned char table, std::uint16_t type = RTM_NEWROUTE) {
  Datagram datagram;
  rtmsg body{};
  body.rtm_type = kind;
  body.rtm_table = table;
  append(datagram, type, body);
  return datagram;
}

constexpr unsigned up = IFF_UP | IFF_RUNNING;

TEST(NetworkMessagesTest, TellALinkThatGetsItsCarrierFromOneThatHasIt) {
  NetworkMessages messages;
  EXPECT_TRUE(messages.bring_network(link(up)));
  EXPECT_FALSE(messages.bring_network(link(up))) << "a wireless link says often how it is";
  EXPECT_FALSE(messages.bring_network(link(IFF_UP)));
  EXPECT_TRUE(messages.bring_network(link(up)));
  EXPECT_FALSE(messages.bring_network(link(up, 2, RTM_DELLINK)));
  EXPECT_TRUE(messages.bring_network(link(up)));
  EXPECT_TRUE(messages.bring_network(link(up, 3))) << "another one";
  EXPECT_FALSE(messages.bring_network(link(up | IFF_LOOPBACK, 1)));
}

TEST(NetworkMessagesTest, CountOnlyWhatLeadsSomewhere) {
  const struct {
    const char* what;
    Datagram datagram;
    bool brings;
  } cases[] = {
      {"an address", address(RT_SCOPE_UNIVERSE), true},
      {"an address that went", address(RT_SCOPE_UNIVERSE, 0, RTM_DELADDR), false},
      {"an address of the link", address(RT_SCOPE_LINK), false},
      {"an address of the host", address(RT_SCOPE_HOST), false},
      {"an address that is being probed for", address(RT_SCOPE_UNIVERSE, IFA_F_TENTATIVE), false},
      {"a route", route(RTN_UNICAST, RT_TABLE_MAIN), true},
      {"a route that went", route(RTN_UNICAST, RT_TABLE_MAIN, RTM_DELROUTE), false},
      {"a route to this host", route(RTN_LOCAL, RT_TABLE_LOCAL), false},
      {"a route to nowhere", route(RTN_UNREACHABLE, RT_TABLE_MAIN), false},
      {"something else", address(RT_SCOPE_UNIVERSE, 0, RTM_NEWNEIGH), false},
      {"nothing", {}, false},
  };
  for (const auto& each : cases) {
    NetworkMessages messages;
    EXPECT_EQ(messages.bring_network(each.datagram), each.brings) << each.what;
  }
}

TEST(NetworkMessagesTest, FindTheOneThatCountsBehindOthers) {
  Datagram datagram = address(RT_SCOPE_HOST);
  const Datagram second = route(RTN_UNICAST, RT_TABLE_MAIN);
  datagram.insert(datagram.end(), second.begin(), second.end());
  EXPECT_TRUE(NetworkMessages().bring_network(datagram));
}

TEST(NetworkMessagesTest, PassOverWhatIsCutShortOrLiesAboutItsLength) {
  const Datagram good = route(RTN_UNICAST, RT_TABLE_MAIN);
  for (std::size_t length = 0; length < sizeof(nlmsghdr) + sizeof(rtmsg); ++length) {
    const Datagram cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(NetworkMessages().bring_network(cut)) << length;
  }
  for (const std::uint32_t length : {0U, 1U, 15U, 16U, 27U, 29U, 1000U, 0xffffffffU}) {
    Datagram lying;
    rtmsg body{};
    body.rtm_type = RTN_UNICAST;
    append(lying, RTM_NEWROUTE, body, length);
    EXPECT_FALSE(NetworkMessages().bring_network(lying)) << length;
  }
}

TEST(NetworkMessagesTest, StayBoundedWhateverTheNumberOfLinks) {
  NetworkMessages messages;
  for (int index = 1; index < 100000; ++index) EXPECT_TRUE(messages.bring_network(link(up, index)));
}

}  // namespace
}  // namespace devid
