#include "tokens/tpm/capabilities.h"

#include <algorithm>
#include <set>
#include <span>

#include "tokens/tpm/hash.h"
#include "tokens/tpm/key_template.h"

namespace devid::tpm {
namespace {

Result<Esys<TPMS_CAPABILITY_DATA>> capability(Context& context, TPM2_CAP kind, UINT32 first, UINT32 count) {
  TPMS_CAPABILITY_DATA* raw = nullptr;
  const Call get = context.call("Esys_GetCapability", [&](ESYS_CONTEXT* esys) {
    TPMI_YES_NO more = TPM2_NO;
    return Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, kind, first, count, &more, &raw);
  });
  Esys<TPMS_CAPABILITY_DATA> data(raw);
  if (!get.ok()) return fail(to_error(get));
  if (data->capability != kind) {
    return fail({.code = Errc::token_failed, .retry = Retry::later, .what = "the TPM answers another question"});
  }
  return data;
}

Result<std::set<TPM2_ALG_ID>> algorithms(Context& context) {
  const auto data = capability(context, TPM2_CAP_ALGS, TPM2_ALG_FIRST, TPM2_MAX_CAP_ALGS);
  if (!data) return fail(data.error());
  const TPML_ALG_PROPERTY& listed = (*data)->data.algorithms;
  std::set<TPM2_ALG_ID> found;
  for (const auto& one : std::span(listed.algProperties).first(std::min<UINT32>(listed.count, TPM2_MAX_CAP_ALGS))) {
    found.insert(one.alg);
  }
  return found;
}

/// Whether the TPM takes the parameters of such a key: its curve, its size.
Result<bool> takes_parameters(Context& context, KeyAlgorithm algorithm) {
  const TPM2B_PUBLIC form = signing_key_template(algorithm);
  const TPMT_PUBLIC_PARMS parameters{.type = form.publicArea.type, .parameters = form.publicArea.parameters};
  const Call test = context.call("Esys_TestParms", [&](ESYS_CONTEXT* esys) {
    return Esys_TestParms(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &parameters);
  });
  if (!test.ok() && !is_about_the_request(test.rc)) return fail(to_error(test));
  return test.ok();
}

}  // namespace

Result<std::vector<KeyAlgorithm>> supported_algorithms(Context& context) {
  const auto known = algorithms(context);
  if (!known) return fail(known.error());
  std::vector<KeyAlgorithm> supported;
  for (const KeyAlgorithm algorithm : all_key_algorithms()) {
    if (!known->contains(hash_algorithm(digest_for(algorithm)))) continue;
    if (!known->contains(is_rsa(algorithm) ? TPM2_ALG_RSASSA : TPM2_ALG_ECDSA)) continue;
    const auto taken = takes_parameters(context, algorithm);
    if (!taken) return fail(taken.error());
    if (*taken) supported.push_back(algorithm);
  }
  return supported;
}

Result<std::vector<std::string>> active_banks(Context& context) {
  const auto data = capability(context, TPM2_CAP_PCRS, 0, 1);
  if (!data) return fail(data.error());
  const TPML_PCR_SELECTION& listed = (*data)->data.assignedPCR;
  std::vector<std::string> banks;
  for (const auto& bank : std::span(listed.pcrSelections).first(std::min<UINT32>(listed.count, TPM2_NUM_PCR_BANKS))) {
    const auto octets = std::span(bank.pcrSelect).first(std::min<std::size_t>(bank.sizeofSelect, TPM2_PCR_SELECT_MAX));
    if (std::ranges::any_of(octets, [](BYTE octet) { return octet != 0; })) banks.push_back(hash_name(bank.hash));
  }
  return banks;
}

Result<std::map<TPM2_PT, UINT32>> properties_from(Context& context, TPM2_PT first) {
  const auto data = capability(context, TPM2_CAP_TPM_PROPERTIES, first, TPM2_MAX_TPM_PROPERTIES);
  if (!data) return fail(data.error());
  const TPML_TAGGED_TPM_PROPERTY& listed = (*data)->data.tpmProperties;
  std::map<TPM2_PT, UINT32> found;
  for (const auto& one : std::span(listed.tpmProperty).first(std::min<UINT32>(listed.count, TPM2_MAX_TPM_PROPERTIES))) {
    found.emplace(one.property, one.value);
  }
  return found;
}

}  // namespace devid::tpm
