#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/support/command.h"
#include "tests/support/system_bus_rules.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {
namespace {

constexpr std::string_view manager = "/org/devid1";
constexpr std::string_view identity = "/org/devid1/identity/gateway";

/// What a system bus is by default, and the policy; {0} is a directory, {1} system_bus_rules.
constexpr const char* bus_configuration =
    R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:tmpdir={0}</listen>
  <servicedir>{0}</servicedir>
{1}  <include>policy.conf</include>
</busconfig>
)";

/// Asks a real bus daemon with policies/org.devid1.conf. There is one user in a test, so that the policy's users are
/// renamed: who calls is `caller`, the others become somebody else. The name has an activation file that fails: a call
/// which the policy lets through ends in that failure.
class TheBusPolicy : public testing::Test {
 protected:
  enum class Caller { anybody, devid, root };

  TheBusPolicy() {
    write("org.devid1.service", "[D-BUS Service]\nName=org.devid1\nExec=/bin/false\n");
    write("bus.conf", fmt::format(bus_configuration, directory_.path().string(), system_bus_rules));
  }

  /// What dbus-send printed.
  [[nodiscard]] std::string call(Caller caller, std::string_view path, std::string_view interface,
                                 std::string_view member) const {
    return on_bus(caller, {"dbus-send", "--session", "--print-reply", "--dest=org.devid1", std::string(path),
                           fmt::format("{}.{}", interface, member)});
  }
  [[nodiscard]] std::string request_name(Caller caller) const {
    return on_bus(caller,
                  {"dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
                   "org.freedesktop.DBus.RequestName", "string:org.devid1", "uint32:4"});
  }
  [[nodiscard]] bool refuses(Caller caller, std::string_view path, std::string_view interface,
                             std::string_view member) const {
    const std::string answer = call(caller, path, interface, member);
    const bool refused = answer.find("\nError org.freedesktop.DBus.Error.AccessDenied") != std::string::npos;
    const bool passed = answer.find("\nError org.freedesktop.DBus.Error.Spawn") != std::string::npos;
    EXPECT_NE(refused, passed) << answer;
    return refused;
  }

 private:
  [[nodiscard]] std::string on_bus(Caller caller, const std::vector<std::string>& command) const {
    write("policy.conf", policy_for(caller));
    std::vector<std::string> words = {"dbus-run-session", "--config-file", directory_.path() / "bus.conf", "--"};
    words.insert(words.end(), command.begin(), command.end());
    const auto outcome = run({.argv = words});
    return "\n" + outcome.output + "\n" + outcome.errors;  // every line begins after a line feed
  }

  static std::string policy_for(Caller caller) {
    const std::ifstream in(DEVID_SOURCE_DIR "/policies/org.devid1.conf");
    std::ostringstream text;
    text << in.rdbuf();
    const std::string me = getpwuid(getuid())->pw_name;  // NOLINT(concurrency-mt-unsafe): one thread
    const std::string other = me == "daemon" ? "nobody" : "daemon";
    const std::string policy = replaced(text.str(), "user=\"root\"", caller == Caller::root ? me : other);
    return replaced(policy, "user=\"devid\"", caller == Caller::devid ? me : other);
  }

  static std::string replaced(std::string text, std::string_view what, std::string_view user) {
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    EXPECT_EQ(text.find(what, at + 1), std::string::npos) << what << " twice";
    // A mark that the second replacement does not find again.
    return text.replace(at, what.size(), fmt::format("user='{}'", user));
  }

  void write(std::string_view name, std::string_view text) const { std::ofstream(directory_.path() / name) << text; }

  TemporaryDirectory directory_;
};

TEST_F(TheBusPolicy, LetsEverybodyRead) {
  for (const auto caller : {Caller::anybody, Caller::devid, Caller::root}) {
    EXPECT_FALSE(refuses(caller, manager, "org.freedesktop.DBus.Introspectable", "Introspect"));
    EXPECT_FALSE(refuses(caller, manager, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"));
    EXPECT_FALSE(refuses(caller, identity, "org.freedesktop.DBus.Properties", "Get"));
    EXPECT_FALSE(refuses(caller, identity, "org.freedesktop.DBus.Properties", "GetAll"));
    EXPECT_FALSE(refuses(caller, manager, "org.devid1.Manager", "GetIdentity"));
    EXPECT_FALSE(refuses(caller, manager, "org.devid1.Manager", "ListTokens"));
    EXPECT_FALSE(refuses(caller, identity, "org.devid1.Identity", "GetCredential"));
    EXPECT_FALSE(refuses(caller, identity, "org.devid1.Identity", "Explain"));
  }
}

TEST_F(TheBusPolicy, LetsOnlyRootChangeSomething) {
  for (const auto caller : {Caller::anybody, Caller::devid, Caller::root}) {
    const bool others = caller != Caller::root;
    EXPECT_EQ(refuses(caller, identity, "org.devid1.Identity", "Enroll"), others);
    EXPECT_EQ(refuses(caller, identity, "org.devid1.Identity", "Renew"), others);
    EXPECT_EQ(refuses(caller, identity, "org.devid1.Identity", "Trust"), others);
    EXPECT_EQ(refuses(caller, manager, "org.devid1.Manager", "Reload"), others);
    EXPECT_EQ(refuses(caller, manager, "org.devid1.Manager", "Check"), others);
    EXPECT_EQ(refuses(caller, "/org/devid1/job/1", "org.devid1.Job", "Cancel"), others);
    EXPECT_EQ(refuses(caller, identity, "org.freedesktop.DBus.Properties", "Set"), others);
  }
}

TEST_F(TheBusPolicy, LetsTheTimersUserAskForWhatIsDue) {
  EXPECT_TRUE(refuses(Caller::anybody, manager, "org.devid1.Manager", "RunDue"));
  EXPECT_FALSE(refuses(Caller::devid, manager, "org.devid1.Manager", "RunDue"));
  EXPECT_FALSE(refuses(Caller::root, manager, "org.devid1.Manager", "RunDue"));
}

TEST_F(TheBusPolicy, RefusesWhatItDoesNotName) {
  EXPECT_TRUE(refuses(Caller::anybody, manager, "org.devid1.Manager", "NewMethod"));
  EXPECT_TRUE(refuses(Caller::devid, manager, "org.devid1.Manager", "NewMethod"));
}

TEST_F(TheBusPolicy, KeepsTheNameForTheDaemon) {
  EXPECT_NE(request_name(Caller::anybody).find("\nError org.freedesktop.DBus.Error.AccessDenied"), std::string::npos);
  EXPECT_NE(request_name(Caller::devid).find("uint32 1"), std::string::npos);
  EXPECT_NE(request_name(Caller::root).find("uint32 1"), std::string::npos);
}

}  // namespace
}  // namespace devid::test
