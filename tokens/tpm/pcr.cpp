#include "tokens/tpm/pcr.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "tokens/tpm/capabilities.h"
#include "tokens/tpm/hash.h"

namespace devid::tpm {
namespace {

constexpr unsigned register_count = 24;
constexpr unsigned octet = 8;
constexpr int most_readings = 5;

bool is_selected(const TPMS_PCR_SELECTION& bank, unsigned index) {
  return index / octet < bank.sizeofSelect && index / octet < TPM2_PCR_SELECT_MAX &&
         (bank.pcrSelect[index / octet] >> (index % octet) & 1U) != 0;
}

TPML_PCR_SELECTION selection_of(const PcrPolicy& policy) {
  TPML_PCR_SELECTION selection{.count = 1};
  TPMS_PCR_SELECTION& bank = selection.pcrSelections[0];
  bank = {.hash = hash_algorithm(policy.bank), .sizeofSelect = register_count / octet};
  for (const unsigned index : policy.registers) {
    if (index < register_count) bank.pcrSelect[index / octet] |= static_cast<BYTE>(1U << (index % octet));
  }
  return selection;
}

bool is_empty(const TPMS_PCR_SELECTION& bank) {
  return std::ranges::all_of(std::span(bank.pcrSelect).first(register_count / octet), [](BYTE b) { return b == 0; });
}

Error no_such_registers(Context& context, const TPML_PCR_SELECTION& missing) {
  Error error{.code = Errc::token_unsupported,
              .retry = Retry::after_operator,
              .what = "the TPM has no " + describe(missing) + " to bind a key to",
              .hint = "name another bank or other registers in the profile"};
  if (const auto banks = active_banks(context); banks && !banks->empty()) {
    error.hint += fmt::format("; the active banks of this TPM are: {}", fmt::join(*banks, ", "));
  }
  return error;
}

struct Reading {
  std::optional<UINT32> update_counter;
  Bytes values;
};

/// Adds the values of some of the registers of `wanted`, as many as the TPM gives at once, and removes these from it.
Result<> read_some(Context& context, TPML_PCR_SELECTION& wanted, Reading& reading) {
  UINT32 counter = 0;
  TPML_PCR_SELECTION* raw_selection = nullptr;
  TPML_DIGEST* raw_values = nullptr;
  const Call read = context.call("Esys_PCR_Read", [&](ESYS_CONTEXT* esys) {
    return Esys_PCR_Read(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted, &counter, &raw_selection,
                         &raw_values);
  });
  const Esys<TPML_PCR_SELECTION> selection(raw_selection);
  const Esys<TPML_DIGEST> values(raw_values);
  if (base_code(read.rc) == TPM2_RC_HASH) return fail(no_such_registers(context, wanted));
  if (!read.ok()) return fail(to_error(read));
  TPMS_PCR_SELECTION& bank = wanted.pcrSelections[0];
  UINT32 given = 0;
  for (unsigned index = 0; index < register_count && selection->count == 1; ++index) {
    if (!is_selected(bank, index) || !is_selected(selection->pcrSelections[0], index)) continue;
    if (given >= values->count) break;
    const TPM2B_DIGEST& value = values->digests[given++];
    const BytesView octets = std::as_bytes(std::span(value.buffer, value.size));
    reading.values.insert(reading.values.end(), octets.begin(), octets.end());
    bank.pcrSelect[index / octet] &= static_cast<BYTE>(~(1U << (index % octet)));
  }
  if (given == 0 || given != values->count) return fail(no_such_registers(context, wanted));
  if (reading.update_counter && *reading.update_counter != counter) reading.values.clear();
  reading.update_counter = counter;
  return {};
}

/// All the values as they were at one instant; nothing if a register changed meanwhile.
Result<Bytes> read_at_once(Context& context, TPML_PCR_SELECTION wanted) {
  Reading reading;
  while (!is_empty(wanted.pcrSelections[0])) {
    if (auto read = read_some(context, wanted, reading); !read) return fail(std::move(read.error()));
    if (reading.values.empty()) break;
  }
  return reading.values;
}

TPM2B_DIGEST sized(BytesView bytes) {
  TPM2B_DIGEST digest{.size = static_cast<UINT16>(std::min(bytes.size(), sizeof(TPM2B_DIGEST::buffer)))};
  std::ranges::copy(bytes.first(digest.size), std::as_writable_bytes(std::span(digest.buffer)).begin());
  return digest;
}

BytesView octets_of(const TPM2B_DIGEST& digest) { return std::as_bytes(std::span(digest.buffer, digest.size)); }

}  // namespace

Result<PcrStatement> read_pcrs(Context& context, const PcrPolicy& policy, TPMI_ALG_HASH name_hash) {
  PcrStatement statement{.selection = selection_of(policy)};
  for (int attempt = 0; attempt < most_readings; ++attempt) {
    const auto values = read_at_once(context, statement.selection);
    if (!values) return fail(values.error());
    if (values->empty()) continue;
    statement.digest = sized(hash_of(name_hash, {*values}));
    return statement;
  }
  return fail({.code = Errc::token_not_ready,
               .retry = Retry::later,
               .what = "the PCRs of the TPM change too fast to bind a key to them"});
}

TPM2B_DIGEST policy_digest(const PcrStatement& statement, TPMI_ALG_HASH name_hash) {
  std::array<unsigned char, sizeof(TPM2_CC) + sizeof(TPML_PCR_SELECTION)> told{};
  std::size_t size = 0;
  if (Tss2_MU_TPM2_CC_Marshal(TPM2_CC_PolicyPCR, told.data(), told.size(), &size) != TSS2_RC_SUCCESS ||
      Tss2_MU_TPML_PCR_SELECTION_Marshal(&statement.selection, told.data(), told.size(), &size) != TSS2_RC_SUCCESS) {
    return {};
  }
  const Bytes start(hash_of(name_hash, {}).size());  // a policy begins with zeros
  return sized(hash_of(name_hash, {start, std::as_bytes(std::span(told)).first(size), octets_of(statement.digest)}));
}

Result<Bytes> write_statement(const PcrStatement& statement) {
  std::array<unsigned char, sizeof(PcrStatement)> buffer{};
  std::size_t size = 0;
  Call marshal{.name = "Tss2_MU_TPM2B_DIGEST_Marshal",
               .rc = Tss2_MU_TPM2B_DIGEST_Marshal(&statement.digest, buffer.data(), buffer.size(), &size)};
  if (marshal.ok()) {
    marshal = {.name = "Tss2_MU_TPML_PCR_SELECTION_Marshal",
               .rc = Tss2_MU_TPML_PCR_SELECTION_Marshal(&statement.selection, buffer.data(), buffer.size(), &size)};
  }
  if (!marshal.ok()) return fail(to_error(marshal));
  return to_bytes(buffer.data(), size);
}

Result<PcrStatement> parse_statement(BytesView bytes) {
  PcrStatement statement;
  std::size_t offset = 0;
  const bool parsed =
      Tss2_MU_TPM2B_DIGEST_Unmarshal(as_uchar(bytes), bytes.size(), &offset, &statement.digest) == TSS2_RC_SUCCESS &&
      Tss2_MU_TPML_PCR_SELECTION_Unmarshal(as_uchar(bytes), bytes.size(), &offset, &statement.selection) ==
          TSS2_RC_SUCCESS;
  if (parsed && offset == bytes.size() && statement.selection.count > 0) return statement;
  return fail({.code = Errc::token_wrong_key,
               .retry = Retry::after_operator,
               .what = "the PCR policy of the key is malformed"});
}

std::string describe(const TPML_PCR_SELECTION& selection) {
  std::vector<std::string> banks;
  for (UINT32 i = 0; i < selection.count && i < TPM2_NUM_PCR_BANKS; ++i) {
    std::vector<unsigned> registers;
    for (unsigned index = 0; index < register_count; ++index) {
      if (is_selected(selection.pcrSelections[i], index)) registers.push_back(index);
    }
    banks.push_back(fmt::format("{}:{}", hash_name(selection.pcrSelections[i].hash), fmt::join(registers, ",")));
  }
  return fmt::format("PCR {}", fmt::join(banks, "+"));
}

}  // namespace devid::tpm
