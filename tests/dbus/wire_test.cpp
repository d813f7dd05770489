#include "dbus/wire.h"

#include <gtest/gtest.h>

#include "dbus/ctl/json.h"
#include "dbus/guard.h"

namespace devid {
namespace {

TEST(AnErrorOnTheBus, IsNamedByItsCodeAndReadsAsASentenceWithAHintLine) {
  const Error error{
      .code = Errc::token_locked_out, .what = "cannot load the key", .reason = "0x921", .hint = "wait 10 minutes"};
  const sdbus::Error sent = wire::to_dbus(error);
  EXPECT_EQ(sent.getName(), "org.devid1.Error.TokenLockedOut");
  EXPECT_EQ(sent.getMessage(), "cannot load the key (0x921)\nhint: wait 10 minutes");
}

TEST(AnErrorOnTheBus, ComesBackAsTheSameCodeSentenceAndHint) {
  for (const Errc code : all_error_codes()) {
    const Error back = wire::from_dbus(wire::to_dbus({.code = code, .what = "it failed", .hint = "mend it"}));
    EXPECT_EQ(back.code, code);
    EXPECT_EQ(back.what, "it failed");
    EXPECT_EQ(back.hint, "mend it");
  }
}

TEST(AnErrorOnTheBus, NeverCarriesTerminalEscapesOfAServer) {
  const auto text = wire::text_of({.code = Errc::server_refused, .what = "refused", .reason = "\x1b[2J\nhint: rm -rf"});
  EXPECT_EQ(text, "refused (\\x1b[2J\\x0ahint: rm -rf)");
}

TEST(AnErrorOfTheBusItself, TellsWhatToDo) {
  const Error denied = wire::from_dbus(sdbus::Error("org.freedesktop.DBus.Error.AccessDenied", "rejected"));
  EXPECT_EQ(denied.code, Errc::not_authorized);
  EXPECT_EQ(denied.hint, "run it as root");
  const Error missing = wire::from_dbus(sdbus::Error("org.freedesktop.DBus.Error.Spawn.ChildExited", "exited"));
  EXPECT_EQ(missing.code, Errc::internal);
  EXPECT_NE(missing.hint.find("journalctl"), std::string::npos);
}

TEST(AnIdentityPath, HoldsAnyNameThatAProfileMayHave) {
  EXPECT_EQ(wire::identity_path("gateway"), "/org/devid1/identity/gateway");
  EXPECT_EQ(wire::identity_path("gate-way_2"), "/org/devid1/identity/gate_2dway_5f2");
}

TEST(AHandler, ThatThrowsAnswersWithAnErrorAndDoesNotAbort) {
  const auto call = [] { guarded([]() -> Result<int> { throw std::runtime_error("a bug"); }); };
  try {
    call();
    FAIL() << "nothing was thrown";
  } catch (const sdbus::Error& error) {
    EXPECT_EQ(error.getName(), "org.devid1.Error.Internal");
    EXPECT_NE(error.getMessage().find("a bug"), std::string::npos);
  }
}

TEST(AHandler, ThatFailsAnswersWithItsCode) {
  EXPECT_THROW(guarded([]() -> Result<> { return fail({.code = Errc::usage, .what = "wrong"}); }), sdbus::Error);
  EXPECT_EQ(guarded([]() -> Result<int> { return 7; }), 7);
}

TEST(APropertyInJson, HasASnakeCaseName) {
  EXPECT_EQ(ctl::snake_case("NotAfter"), "not_after");
  EXPECT_EQ(ctl::snake_case("Name"), "name");
  EXPECT_EQ(ctl::snake_case("key_uri"), "key_uri");
}

TEST(APropertyInJson, KeepsItsType) {
  const auto json =
      ctl::to_json({{"State", sdbus::Variant(std::string("valid"))},
                    {"Generation", sdbus::Variant(std::uint64_t{2})},
                    {"Attempts", sdbus::Variant(std::uint32_t{3})},
                    {"PendingTrust",
                     sdbus::Variant(std::vector<wire::Dictionary>{{{"not_after", sdbus::Variant(std::uint64_t{9})}}})},
                    {"LastError", sdbus::Variant(sdbus::Struct<std::string, std::string>("", ""))}});
  EXPECT_EQ(json["state"], "valid");
  EXPECT_EQ(json["generation"], 2);
  EXPECT_EQ(json["attempts"], 3);
  EXPECT_EQ(json["pending_trust"][0]["not_after"], 9);
  EXPECT_TRUE(json["last_error"].is_null());
}

}  // namespace
}  // namespace devid
