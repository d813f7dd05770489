#include "tokens/tpm/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "tokens/tpm/capabilities.h"

namespace devid::tpm {
namespace {

using Properties = std::map<TPM2_PT, UINT32>;

UINT32 value_of(const Properties& properties, TPM2_PT property) {
  const auto found = properties.find(property);
  return found == properties.end() ? 0 : found->second;
}

/// Four octets of text, as far as they are some.
std::string text_of(UINT32 value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const char letter = static_cast<char>(value >> static_cast<unsigned>(shift) & 0xFFU);
    if (letter != '\0') text += letter;
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

std::string model_of(const Properties& fixed) {
  std::string model;
  for (const TPM2_PT part :
       {TPM2_PT_VENDOR_STRING_1, TPM2_PT_VENDOR_STRING_2, TPM2_PT_VENDOR_STRING_3, TPM2_PT_VENDOR_STRING_4}) {
    model += text_of(value_of(fixed, part));
  }
  return printable(model);
}

/// As most manufacturers write it: four numbers of 16 bits.
std::string firmware_of(const Properties& fixed) {
  const UINT32 high = value_of(fixed, TPM2_PT_FIRMWARE_VERSION_1);
  const UINT32 low = value_of(fixed, TPM2_PT_FIRMWARE_VERSION_2);
  return fmt::format("{}.{}.{}.{}", high >> 16U, high & 0xFFFFU, low >> 16U, low & 0xFFFFU);
}

void add_lockout(std::vector<std::string>& remarks, const Properties& variable) {
  const UINT32 tries = value_of(variable, TPM2_PT_LOCKOUT_COUNTER);
  const UINT32 most = value_of(variable, TPM2_PT_MAX_AUTH_FAIL);
  const UINT32 interval = value_of(variable, TPM2_PT_LOCKOUT_INTERVAL);
  const std::string recovery =
      interval == 0 ? "they are never forgotten" : fmt::format("one is forgotten every {} s", interval);
  if ((value_of(variable, TPM2_PT_PERMANENT) & TPMA_PERMANENT_INLOCKOUT) != 0) {
    remarks.push_back(fmt::format(
        "in lockout: {} wrong auth values of at most {} were tried, {}; keys that are subject to the lockout do not "
        "sign until then, or until tpm2_dictionarylockout --clear-lockout",
        tries, most, recovery));
  } else if (tries > 0) {
    remarks.push_back(fmt::format("{} wrong auth values were tried, {}; {} more lock it", tries, recovery,
                                  most - std::min(most, tries)));
  }
}

void add_passwords(std::vector<std::string>& remarks, UINT32 permanent) {
  if ((permanent & TPMA_PERMANENT_OWNERAUTHSET) != 0) {
    remarks.emplace_back("the owner hierarchy has a password (owner_auth)");
  }
  if ((permanent & TPMA_PERMANENT_ENDORSEMENTAUTHSET) != 0) {
    remarks.emplace_back("the endorsement hierarchy has a password (endorsement_auth)");
  }
}

void add_hierarchies(std::vector<std::string>& remarks, UINT32 startup) {
  if ((startup & TPMA_STARTUP_CLEAR_SHENABLE) == 0) {
    remarks.emplace_back("the owner hierarchy is disabled: no key can be made");
  }
  if ((startup & TPMA_STARTUP_CLEAR_EHENABLE) == 0) {
    remarks.emplace_back("the endorsement hierarchy is disabled: an IDevID cannot be derived from its template");
  }
}

}  // namespace

Result<TokenReport> report(Context& context) {
  const auto fixed = properties_from(context, TPM2_PT_FIXED);
  if (!fixed && fixed.error().code == Errc::token_not_ready) {
    TokenReport silent;
    silent.remarks.push_back(fixed.error().what + ": " + fixed.error().hint);
    return silent;
  }
  if (!fixed) return fail(fixed.error());
  const auto variable = properties_from(context, TPM2_PT_VAR);
  if (!variable) return fail(variable.error());
  auto algorithms = supported_algorithms(context);
  if (!algorithms) return fail(std::move(algorithms.error()));
  const auto banks = active_banks(context);
  if (!banks) return fail(banks.error());
  TokenReport result{.manufacturer = printable(text_of(value_of(*fixed, TPM2_PT_MANUFACTURER))),
                     .model = model_of(*fixed),
                     .serial_number = {},
                     .firmware = firmware_of(*fixed),
                     .algorithms = std::move(*algorithms)};
  if (const auto free = variable->find(TPM2_PT_HR_PERSISTENT_AVAIL); free != variable->end()) {
    result.free_key_slots = free->second;
  }
  add_lockout(result.remarks, *variable);
  add_passwords(result.remarks, value_of(*variable, TPM2_PT_PERMANENT));
  add_hierarchies(result.remarks, value_of(*variable, TPM2_PT_STARTUP_CLEAR));
  if (banks->empty()) result.remarks.emplace_back("no bank of PCRs is active: no key can be bound to them");
  return result;
}

}  // namespace devid::tpm
