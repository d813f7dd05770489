#include "agent/identity/workplace.h"

#include <fmt/format.h>

#include <utility>

namespace devid::identity {

Result<> enter(const Workplace& place, Phase phase) {
  if (place.observer.cancelled())
    return fail({.code = Errc::cancelled, .retry = Retry::later, .what = "the job was cancelled"});
  place.observer.entered(phase);
  return {};
}

Result<Token*> find_token(const Tokens& tokens, const std::string& name) {
  if (const auto found = tokens.find(name); found != tokens.end()) return found->second.get();
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = fmt::format("there is no token '{}'", name),
               .hint = "check the profile, and the tokens in devid.toml"});
}

void destroy_key(const Workplace& place, Token& token, const std::string& name, const std::string& pem) {
  if (!token.destroy_key(pem)) place.abandoned_keys.add({.token = name, .token_key_pem = pem});
}

Result<std::uint64_t> install(const Workplace& place, const Generation& generation) {
  return place.store.install(generation, [&place](const std::filesystem::path& directory) {
    const auto set = set_attributes(directory, place.profile.files);
    if (set) return;
    notice(place,
           "the new files are not for whom [files] of the profile says: " + set.error().sentence() + "; " +
               set.error().hint,
           {{.name = "DEVID_ERROR", .value = std::string(code_name(set.error().code))}});
  });
}

void notice(const Workplace& place, std::string sentence, std::vector<Notice::Field> fields) {
  if (!place.memory.noticed.insert(sentence).second) return;
  place.observer.noticed({.sentence = std::move(sentence), .fields = std::move(fields)});
}

}  // namespace devid::identity
