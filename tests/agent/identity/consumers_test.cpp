#include "agent/identity/consumers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/identity/profile_parser.h"

namespace devid::identity {
namespace {

using namespace std::chrono_literals;

ProfileFile parse(const std::string& top) {
  return parse_profile(top + "\n[server]\nurl = \"https://est.example\"\n", "/etc/devid/identities.d/gateway.toml", {});
}

TEST(UnitNames, AreThoseOfSystemd) {
  for (const char* name :
       {"nginx.service", "wpa_supplicant@wlan0.service", "dev-disk-by\\x2dlabel.device", "a:b-c_d.e.target",
        "getty@.tty1.service", "run-user-1000.mount", "devid-enrolled@gateway.target"})
    EXPECT_TRUE(is_unit_name(name)) << name;
  EXPECT_TRUE(is_unit_name(std::string(247, 'a') + ".service"));
}

TEST(UnitNames, AreNoTemplatesPathsOptionsOrTricks) {
  for (const std::string name :
       {"", ".service", "nginx", "nginx.conf", "getty@.service", "@tty1.service", "a@b@c.service", "../nginx.service",
        "/etc/nginx.service", "nginx.service ", " nginx.service", "a b.service", "nginx;reboot.service", "n\nx.service",
        "n\xc3\xbc.service", "$(id).service", "*.service", "nginx.SERVICE"})
    EXPECT_FALSE(is_unit_name(name)) << name;
  EXPECT_FALSE(is_unit_name(std::string(248, 'a') + ".service"));
  EXPECT_FALSE(is_unit_name(std::string("nginx\0.service", 14)));
}

TEST(AfterRotation, TakesEveryVerbInItsOrder) {
  const auto file = parse(
      "after_rotation = [\"reload nginx.service\", \"try-restart mosquitto.service\", \"restart a.service\",\n"
      "  \"reload-or-restart b.service\", \"try-reload-or-restart c@1.service\", \"start d.target\"]");
  ASSERT_TRUE(file.profile) << file.profile.error().sentence();
  std::vector<std::string> texts;
  for (const auto& action : file.profile->after_rotation) texts.push_back(to_text(action));
  EXPECT_EQ(texts, (std::vector<std::string>{"reload nginx.service", "try-restart mosquitto.service",
                                             "restart a.service", "reload-or-restart b.service",
                                             "try-reload-or-restart c@1.service", "start d.target"}));
  EXPECT_TRUE(parse("").profile->after_rotation.empty());
}

TEST(AfterRotation, IsRefusedWithThePlaceOfTheMistake) {
  std::string many = "after_rotation = [";
  for (int i = 0; i < 17; ++i) many += fmt::format("\"reload a{}.service\", ", i);
  const struct {
    std::string text;
    const char* place;
    const char* reason;
  } cases[] = {
      {"after_rotation = \"reload nginx.service\"", ":1:18", "array"},
      {"after_rotation = [1]", ":1:19", "string"},
      {"after_rotation = [\"nginx.service\"]", ":1:19", "names no unit"},
      {"after_rotation = [\"reload\"]", ":1:19", "names no unit"},
      {"after_rotation = [\"reload \"]", ":1:19", "names no unit"},
      {"after_rotation = [\"stop nginx.service\"]", ":1:19", "no verb"},
      {"after_rotation = [\"Reload nginx.service\"]", ":1:19", "no verb"},
      {"after_rotation = [\"isolate rescue.target\"]", ":1:19", "no verb"},
      {"after_rotation = [\"reload  nginx.service\"]", ":1:19", "no name of a unit"},
      {"after_rotation = [\"reload nginx\"]", ":1:19", "no name of a unit"},
      {"after_rotation = [\"reload a.service b.service\"]", ":1:19", "no name of a unit"},
      {"after_rotation = [\"restart devidd.service\"]", ":1:19", "cannot restart itself"},
      {"after_rotation = [\"reload a.service\",\n \"reload a.service\"]", ":2:2", "twice"},
      {many + "]", ":1:", "more than 16"},
  };
  for (const auto& [text, place, reason] : cases) {
    const auto file = parse(text);
    ASSERT_FALSE(file.profile) << text;
    EXPECT_EQ(file.profile.error().code, Errc::config_invalid) << text;
    const std::string sentence = file.profile.error().sentence();
    EXPECT_NE(sentence.find(place), std::string::npos) << sentence;
    EXPECT_NE(sentence.find(reason), std::string::npos) << sentence;
  }
}

TEST(AConsumer, IsToldAtOnceThenWhenItsTimeHasComeAndNeverAgainOnceItWasTold) {
  const Time now{Seconds(1'800'000'000)};
  const UnitAction action{.verb = UnitVerb::reload, .unit = "nginx.service"};
  const auto fresh = nobody_told({action});
  ASSERT_EQ(fresh.size(), 1U);
  EXPECT_TRUE(is_due(fresh.front(), now));
  Told told{.action = action, .state = Told::State::failed, .attempts = 3, .next_attempt = now + 1min};
  EXPECT_FALSE(is_due(told, now));
  EXPECT_TRUE(is_due(told, now + 1min));
  EXPECT_TRUE(is_due(told, now - std::chrono::days(400))) << "the clock was turned back";
  told.state = Told::State::done;
  EXPECT_FALSE(is_due(told, now + 1h));
}

}  // namespace
}  // namespace devid::identity
