#include <unistd.h>

#include <iostream>
#include <string>

#include "dbus/ctl/json.h"
#include "dbus/ctl/verbs.h"

namespace devid::ctl {
namespace {

/// Asks whoever is at the terminal. Where nobody is, only --yes counts.
Result<> ask(const std::string& name) {
  if (::isatty(STDIN_FILENO) != 1) {
    return fail({.code = Errc::usage,
                 .what = "nobody is asked whether identity '" + printable(name, 80) + "' shall be forgotten",
                 .reason = "standard input is no terminal",
                 .hint = "its keys are destroyed for good: if that is what you want, say --yes"});
  }
  std::cerr
      << "This destroys every key of identity '" << printable(name, 80)
      << "' in its token, and removes its certificates.\nThere is no way back. Type the name of the identity to go on: "
      << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == name) return {};
  return fail({.code = Errc::cancelled, .what = "nothing was forgotten", .reason = "that was another name"});
}

void print_text(const std::string& name, std::uint64_t destroyed, std::uint64_t left, bool has_profile) {
  std::cout << name << ": forgotten, " << destroyed << (destroyed == 1 ? " key" : " keys") << " destroyed\n";
  if (left > 0)
    std::cerr << "hint: " << left << (left == 1 ? " key" : " keys") << " could not be destroyed now, and stay listed: "
              << (has_profile ? "each job of this identity tries again\n" : "run this again when the token is there\n");
  if (has_profile)
    std::cerr << "hint: its profile is still there, so it enrolls again at the next run; remove that first if it shall "
                 "not: devidctl reload\n";
}

}  // namespace

Exit forget(Client& client, const std::string& name, bool yes, Format format) {
  if (!yes)
    if (const auto asked = ask(name); !asked) return complain(asked.error());
  const auto forgotten = client.forget(name);
  if (!forgotten) return complain(forgotten.error());
  const std::uint64_t destroyed = number(*forgotten, "keys_destroyed");
  const std::uint64_t left = number(*forgotten, "keys_left");
  const bool has_profile = client.identity_path(name).has_value();
  if (format == Format::json) {
    print({{"identity", name}, {"keys_destroyed", destroyed}, {"keys_left", left}, {"enrolls_again", has_profile}});
  } else {
    print_text(name, destroyed, left, has_profile);
  }
  return left == 0 ? Exit::done : Exit::failed;
}

}  // namespace devid::ctl
