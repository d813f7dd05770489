#include "dbus/inventory.h"

namespace devid::wire {
namespace {

sdbus::Variant safe(const std::string& text) { return sdbus::Variant(printable(text)); }

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
  std::vector<std::string> algorithms;
  for (const KeyAlgorithm algorithm : report.algorithms) algorithms.emplace_back(algorithm_name(algorithm));
  std::vector<std::string> remarks;
  for (const std::string& remark : report.remarks) remarks.push_back(printable(remark));
  dictionary.emplace("manufacturer", safe(report.manufacturer));
  dictionary.emplace("model", safe(report.model));
  dictionary.emplace("serial_number", safe(report.serial_number));
  dictionary.emplace("firmware", safe(report.firmware));
  dictionary.emplace("algorithms", algorithms);
  dictionary.emplace("remarks", remarks);
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

}  // namespace devid::wire
