#include "agent/pki/cmc_status.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "agent/pki/oid.h"
#include "base/openssl.h"

namespace devid::pki::cmc {
namespace {

using Number = Owned<BIGNUM, BN_free>;

constexpr std::size_t most_statuses = 16;
constexpr int longest_number = 64;  ///< bytes of a transaction identifier
constexpr std::string_view status_info = "1.3.6.1.5.5.7.7.1";
constexpr std::string_view status_info_v2 = "1.3.6.1.5.5.7.7.25";
constexpr std::string_view transaction_id = "1.3.6.1.5.5.7.7.5";
constexpr std::string_view recipient_nonce = "1.3.6.1.5.5.7.7.7";

struct FailInfo {
  std::string_view name;
  bool passes;
};
/// CMCFailInfo by its number (RFC 5272 6.1.4).
constexpr auto fail_infos = std::to_array<FailInfo>({
    {.name = "badAlg", .passes = false},
    {.name = "badMessageCheck", .passes = false},
    {.name = "badRequest", .passes = false},
    {.name = "badTime", .passes = true},
    {.name = "badCertId", .passes = false},
    {.name = "unsuportedExt", .passes = false},  // sic, in the standard
    {.name = "mustArchiveKeys", .passes = false},
    {.name = "badIdentity", .passes = false},
    {.name = "popRequired", .passes = false},
    {.name = "popFailed", .passes = false},
    {.name = "noKeyReuse", .passes = false},
    {.name = "internalCAError", .passes = true},
    {.name = "tryLater", .passes = true},
    {.name = "authDataFail", .passes = false},
});

constexpr auto status_names = std::to_array<std::pair<Status, std::string_view>>({
    {Status::success, "success"},
    {Status::failed, "failed"},
    {Status::pending, "pending"},
    {Status::no_support, "noSupport"},
    {Status::confirm_required, "confirmRequired"},
    {Status::pop_required, "popRequired"},
    {Status::partial, "partial"},
});

Error malformed(std::string reason) {
  ERR_clear_error();
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read what the CA says about the Full PKI Request",
          .reason = std::move(reason),
          .hint = "see the EST server's log: it must send a Full PKI Response (RFC 5272 3.2.2)"};
}

BytesView content(const ASN1_STRING* string) {
  return std::as_bytes(std::span(ASN1_STRING_get0_data(string), static_cast<std::size_t>(ASN1_STRING_length(string))));
}

std::optional<Status> status_of(const ASN1_INTEGER* number) {
  std::int64_t value = 0;
  if (ASN1_INTEGER_get_int64(&value, number) != 1) return std::nullopt;
  const auto* found = std::ranges::find_if(
      status_names, [value](const auto& each) { return static_cast<std::int64_t>(each.first) == value; });
  return found == status_names.end() ? std::nullopt : std::optional(found->first);
}

std::optional<Time> time_of(const ASN1_GENERALIZEDTIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(parts.tm_year + 1900),
                                         std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)),
                                         std::chrono::day(static_cast<unsigned>(parts.tm_mday)));
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
         std::chrono::seconds(parts.tm_sec);
}

void read_fail_info(const ASN1_INTEGER* number, StatusReport& report) {
  std::int64_t value = -1;
  if (ASN1_INTEGER_get_int64(&value, number) != 1) {
    report.fail_info = "a number that is too large";
  } else if (value < 0 || static_cast<std::size_t>(value) >= fail_infos.size()) {
    report.fail_info = "failInfo " + std::to_string(value);
  } else {
    const FailInfo& known = fail_infos.at(static_cast<std::size_t>(value));
    report.fail_info = known.name;
    report.passes = known.passes;
  }
}

/// failInfo, pendInfo, or what CMCStatusInfoV2 has besides. What is not understood is left out.
Result<> read_other(const ASN1_TYPE* other, StatusReport& report) {
  const int type = ASN1_TYPE_get(other);
  if (type == V_ASN1_INTEGER) {
    read_fail_info(other->value.integer, report);
    return {};
  }
  if (type != V_ASN1_SEQUENCE) {
    report.fail_info = "extendedFailInfo";
    return {};
  }
  const auto pending = parse_pending(content(other->value.sequence));
  if (!pending) return fail(malformed("its pendInfo is malformed"));
  report.pend_until = time_of(pending->time);
  if (!report.pend_until) return fail(malformed("its pendTime is no time"));
  return {};
}

Result<StatusReport> read_status(const ASN1_TYPE* value) {
  const auto info = ASN1_TYPE_get(value) == V_ASN1_SEQUENCE ? parse_status(content(value->value.sequence)) : nullptr;
  if (!info) return fail(malformed("a status is malformed"));
  const auto status = status_of(info->status);
  if (!status) return fail(malformed("a status has an unknown number"));
  StatusReport report{.status = *status};
  if (info->text != nullptr) report.text = printable(as_text(content(info->text)));
  if (info->other != nullptr)
    if (auto read = read_other(info->other, report); !read) return fail(std::move(read.error()));
  return report;
}

std::optional<std::string> decimal_of(const ASN1_TYPE* value) {
  if (ASN1_TYPE_get(value) != V_ASN1_INTEGER || ASN1_STRING_length(value->value.integer) > longest_number)
    return std::nullopt;
  const Number number(ASN1_INTEGER_to_BN(value->value.integer, nullptr));
  char* text = number ? BN_bn2dec(number.get()) : nullptr;
  if (text == nullptr) return std::nullopt;
  std::string decimal = text;
  OPENSSL_free(text);
  return decimal;
}

Result<> read_value(std::string_view type, const ASN1_TYPE* value, Controls& into) {
  if (type == status_info || type == status_info_v2) {
    if (into.statuses.size() == most_statuses)
      return fail(malformed("it has more than " + std::to_string(most_statuses) + " statuses"));
    auto status = read_status(value);
    if (!status) return fail(std::move(status.error()));
    into.statuses.push_back(std::move(*status));
  } else if (type == transaction_id) {
    if (into.transaction) return fail(malformed("it has several transaction identifiers"));
    into.transaction = decimal_of(value);
    if (!into.transaction) return fail(malformed("its transaction identifier is no number"));
  } else if (type == recipient_nonce) {
    if (into.recipient_nonce) return fail(malformed("it has several recipient nonces"));
    if (ASN1_TYPE_get(value) != V_ASN1_OCTET_STRING) return fail(malformed("its recipient nonce is no OCTET STRING"));
    into.recipient_nonce = to_bytes(content(value->value.octet_string));
  }
  return {};
}

}  // namespace

Result<Controls> read_controls(const PkiResponse& response) {
  Controls controls;
  for (int i = 0; i < sk_TaggedAttribute_num(response.controls); ++i) {
    const TaggedAttribute* const control = sk_TaggedAttribute_value(response.controls, i);
    const std::string type = dotted(control->type).value_or("");
    for (int j = 0; j < sk_ASN1_TYPE_num(control->values); ++j)
      if (auto read = read_value(type, sk_ASN1_TYPE_value(control->values, j), controls); !read)
        return fail(std::move(read.error()));
  }
  return controls;
}

std::string sentence(const StatusReport& report) {
  const auto* found = std::ranges::find(status_names, report.status, &std::pair<Status, std::string_view>::first);
  std::string text(found == status_names.end() ? "unknown" : found->second);
  if (!report.fail_info.empty()) text.append(", ").append(report.fail_info);
  if (!report.text.empty()) text.append(": ").append(report.text);
  return text;
}

}  // namespace devid::pki::cmc
