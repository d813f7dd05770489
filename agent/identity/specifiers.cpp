#include "agent/identity/specifiers.h"

#include <fmt/format.h>
#include <openssl/objects.h>
#include <sys/utsname.h>

#include <array>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

constexpr std::size_t fact_limit = 64UL * 1024;
constexpr std::string_view opening = "%{idevid.";
/// The same once expanded: no value of the configuration can hold it.
constexpr std::string_view kept = "\x1f{idevid.";

struct FactOfFile {
  char letter;
  const char* file;
  std::string_view key;  ///< of a line KEY=VALUE; empty: the whole file
};
constexpr std::array<FactOfFile, 9> facts_of_files{{{'m', "/etc/machine-id", ""},
                                                    {'b', "/proc/sys/kernel/random/boot_id", ""},
                                                    {'q', "/etc/machine-info", "PRETTY_HOSTNAME"},
                                                    {'o', "/etc/os-release", "ID"},
                                                    {'w', "/etc/os-release", "VERSION_ID"},
                                                    {'W', "/etc/os-release", "VARIANT_ID"},
                                                    {'B', "/etc/os-release", "BUILD_ID"},
                                                    {'M', "/etc/os-release", "IMAGE_ID"},
                                                    {'A', "/etc/os-release", "IMAGE_VERSION"}}};

/// The value of a line KEY=VALUE, without quotes around it (os-release(5)).
std::string value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(key) || line.substr(key.size(), 1) != "=") continue;
    const std::string_view value = line.substr(key.size() + 1);
    const bool quoted = value.size() >= 2 && (value.front() == '"' || value.front() == '\'');
    return std::string(quoted ? value.substr(1, value.size() - 2) : value);
  }
  return {};
}

Error wrong(std::string what, std::string hint) {
  return {
      .code = Errc::config_invalid, .retry = Retry::after_operator, .what = std::move(what), .hint = std::move(hint)};
}

/// The type in "%{idevid.TYPE}" at the beginning of a text; empty if there is none.
std::string_view idevid_attribute(std::string_view text) {
  if (!text.starts_with(opening)) return {};
  const std::string_view rest = text.substr(opening.size());
  const std::size_t end = rest.find('}');
  return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
}

Result<> check_attribute(std::string_view type) {
  if (OBJ_txt2nid(std::string(type).c_str()) != NID_undef) return {};
  return fail(wrong(fmt::format("'{}' is no attribute of a subject", printable(type, 40)),
                    "write one such as %{idevid.serialNumber} or %{idevid.CN}"));
}

Result<std::string> fact(char letter, const DeviceFacts& facts) {
  constexpr std::string_view known = "AbBHlmMoqvwW";
  if (const auto found = facts.find(letter); found != facts.end()) return found->second;
  if (known.find(letter) != std::string_view::npos)
    return fail(wrong(fmt::format("this host does not know what %{} stands for", letter),
                      "write the value itself, or see machine-info(5) and os-release(5)"));
  return fail(wrong(fmt::format("'%{}' is no specifier", printable(std::string_view(&letter, 1))),
                    "write %% for a percent sign; %H is the host's name, %m the machine ID"));
}

}  // namespace

DeviceFacts read_device_facts() {
  DeviceFacts facts;
  utsname host{};
  if (::uname(&host) == 0) {
    const std::string name = host.nodename;
    facts['H'] = name;
    facts['l'] = name.substr(0, name.find('.'));
    facts['v'] = host.release;
  }
  for (const auto& [letter, file, key] : facts_of_files) {
    const auto text = read_file(file, fact_limit);
    if (!text) continue;
    std::string value = key.empty() ? text->substr(0, text->find('\n')) : value_of(*text, key);
    if (!value.empty()) facts[letter] = std::move(value);
  }
  return facts;
}

Result<std::string> expand(std::string_view text, const DeviceFacts& facts) {
  std::string expanded;
  while (!text.empty()) {
    if (text.front() != '%') {
      expanded += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (const std::string_view type = idevid_attribute(text); !type.empty()) {
      if (auto checked = check_attribute(type); !checked) return fail(std::move(checked.error()));
      const std::size_t size = opening.size() + type.size() + 1;
      expanded += kept;
      expanded += text.substr(opening.size(), size - opening.size());
      text.remove_prefix(size);
      continue;
    }
    if (text.size() < 2) return fail(wrong("a percent sign stands alone", "write %% for a percent sign"));
    if (text[1] == '%') {
      expanded += '%';
    } else {
      auto value = fact(text[1], facts);
      if (!value) return value;
      expanded += *value;
    }
    text.remove_prefix(2);
  }
  return expanded;
}

bool refers_to_idevid(std::string_view text) { return text.find(kept) != std::string_view::npos; }

Result<std::string> resolve_idevid(std::string_view text, const pki::Certificate& idevid) {
  std::string resolved;
  while (!text.empty()) {
    const std::size_t next = text.find(kept);
    resolved += text.substr(0, next);
    if (next == std::string_view::npos) break;
    const std::string_view rest = text.substr(next + kept.size());
    const std::string_view type = rest.substr(0, rest.find('}'));
    const auto value = idevid.subject_attribute(OBJ_txt2nid(std::string(type).c_str()));
    if (!value || value->empty()) {
      return fail(wrong(fmt::format("the subject of the IDevID has no {}", printable(type, 40)),
                        "its subject is " + printable(idevid.subject())));
    }
    resolved += *value;
    text.remove_prefix(next + kept.size() + type.size() + 1);
  }
  return resolved;
}

}  // namespace devid::identity
