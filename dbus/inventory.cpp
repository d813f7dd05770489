#include "dbus/inventory.h"

#include <algorithm>

namespace devid::wire {
namespace {

using Texts = std::vector<std::string>;

sdbus::Variant safe(const std::string& text) {
  return sdbus::Variant(printable(text));  // NOLINT(modernize-return-braced-init-list): the constructor is explicit
}

std::uint64_t seconds(Time time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time.time_since_epoch().count(), 0));
}

Texts names_of(const std::vector<KeyAlgorithm>& algorithms) {
  Texts names(algorithms.size());
  std::ranges::transform(algorithms, names.begin(),
                         [](KeyAlgorithm each) { return std::string(algorithm_name(each)); });
  return names;
}

Texts printables(const Texts& texts) {
  Texts shown(texts.size());
  std::ranges::transform(texts, shown.begin(), [](const std::string& text) { return printable(text); });
  return shown;
}

}  // namespace

Dictionary to_dictionary(const TokenDescription& token) {
  return {{"name", safe(token.name)}, {"kind", safe(token.kind)}, {"location", safe(token.location)}};
}

Dictionary to_dictionary(const TokenInspection& token) {
  Dictionary dictionary = to_dictionary(token.description);
  if (!token.report) {
    const Error& error = token.report.error();
    dictionary.emplace("error", sdbus::Struct<std::string, std::string>(code_name(error.code), text_of(error)));
    return dictionary;
  }
  const TokenReport& report = *token.report;
  dictionary.emplace("manufacturer", safe(report.manufacturer));
  dictionary.emplace("model", safe(report.model));
  dictionary.emplace("serial_number", safe(report.serial_number));
  dictionary.emplace("firmware", safe(report.firmware));
  dictionary.emplace("algorithms", names_of(report.algorithms));
  dictionary.emplace("remarks", printables(report.remarks));
  if (report.free_key_slots) dictionary.emplace("free_key_slots", *report.free_key_slots);
  return dictionary;
}

Dictionary to_dictionary(const identity::Evidence& evidence) {
  return {{"token", safe(evidence.token)},
          {"location", safe(evidence.location)},
          {"found", safe(evidence.found)},
          {"verdict", sdbus::Variant(std::string(identity::verdict_name(evidence.verdict)))},
          {"why", safe(evidence.why)}};
}

Dictionary to_dictionary(const identity::ServerAnchor& anchor) {
  const pki::Certificate& certificate = anchor.certificate;
  return {{"subject", safe(certificate.subject())},
          {"issuer", safe(certificate.issuer())},
          {"fingerprint", safe(certificate.fingerprint())},
          {"not_before", sdbus::Variant(seconds(certificate.not_before()))},
          {"not_after", sdbus::Variant(seconds(certificate.not_after()))},
          {"server", safe(anchor.server)},
          {"when", sdbus::Variant(seconds(anchor.when))}};
}

Dictionary to_dictionary(const identity::Told& told) {
  return {{"action", safe(identity::to_text(told.action))},
          {"state", sdbus::Variant(std::string(identity::told_state_name(told.state)))},
          {"attempts", sdbus::Variant(told.attempts)},
          {"message", sdbus::Variant(printable(told.message, 2000))},
          {"next_attempt", sdbus::Variant(seconds(told.next_attempt.value_or(Time())))}};
}

Dictionary to_dictionary(const Error& error) {
  return {{"code", sdbus::Variant(std::string(code_name(error.code)))},
          {"message", sdbus::Variant(printable(error.sentence(), 2000))},
          {"hint", sdbus::Variant(printable(error.hint, 2000))}};
}

}  // namespace devid::wire
