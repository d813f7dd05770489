#include "agent/pki/request_names.h"

#include <openssl/objects.h>

#include <algorithm>
#include <utility>

#include "agent/pki/csr_wishes.h"
#include "agent/pki/der.h"
#include "agent/pki/encoded_name.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

/// So many names of each kind a server may add. A request for more is no request for a device.
constexpr std::size_t most_added = 32;

constexpr std::string_view profile_decides = "the profile does not let the CA change names";

void remark(RequestPlan& plan, const std::string& wanted, std::string_view why) {
  add_bounded(plan.remarks, printable(wanted, 200) + ": " + std::string(why));
}

std::string text_of(const SubjectAttributeTemplate& attribute) {
  const Oid oid = oid_of(attribute.oid);
  const std::string name = oid ? oid_name(oid.get()) : attribute.oid;
  return "subject attribute " + name + (attribute.value ? "=" + *attribute.value : "");
}

bool is_of(const NameAttribute& attribute, const std::string& oid) { return dotted(attribute.type) == oid; }

/// By its short name if it may be written so; none if devid cannot ask for it.
std::optional<NameAttribute> attribute_of(const std::string& digits, const std::string& value) {
  const Oid oid = oid_of(digits);
  if (!oid) return std::nullopt;
  for (const std::string& type : {oid_name(oid.get()), digits}) {
    NameAttribute attribute{.type = type, .value = value};
    if (encode_subject({attribute})) return attribute;
  }
  return std::nullopt;
}

class Subject {
 public:
  Subject(const RequestWish& wish, RequestPlan& plan) : wish_(wish), plan_(plan), rest_(wish.names.subject) {}

  Result<> add(const SubjectAttributeTemplate& wanted) {
    const auto& own = wish_.names.subject;
    if (std::ranges::any_of(own, [&](const auto& each) { return is_of(each, wanted.oid); })) return place_own(wanted);
    const auto value = value_for(wanted);
    if (!value) return {};
    auto attribute = attribute_of(wanted.oid, *value);
    if (!attribute || added_ == most_added)
      remark(plan_, text_of(wanted), "it cannot be asked for");
    else if (std::ranges::find(subject_, *attribute) == subject_.end()) {
      subject_.push_back(std::move(*attribute));
      ++added_;
    }
    return {};
  }

  std::vector<NameAttribute> take() {
    std::ranges::move(rest_, std::back_inserter(subject_));
    return std::move(subject_);
  }

 private:
  /// What the profile names is asked for, whatever the server wants.
  Result<> place_own(const SubjectAttributeTemplate& wanted) {
    bool same = !wanted.value;
    for (const NameAttribute& each : wish_.names.subject) same |= is_of(each, wanted.oid) && each.value == wanted.value;
    if (!same && wish_.name_policy == NamePolicy::exact)
      return fail(unmet(text_of(wanted) + ", for which the profile has another value"));
    if (!same) remark(plan_, text_of(wanted), "the profile has another value");
    const auto others = std::ranges::stable_partition(rest_, [&](const auto& each) { return is_of(each, wanted.oid); });
    std::ranges::copy(rest_.begin(), others.begin(), std::back_inserter(subject_));
    rest_.erase(rest_.begin(), others.begin());
    return {};
  }

  std::optional<std::string> value_for(const SubjectAttributeTemplate& wanted) {
    if (wanted.value && wish_.name_policy == NamePolicy::ca_may_change) return wanted.value;
    const auto fact = wish_.facts.find(wanted.oid);
    if (!wanted.value && fact != wish_.facts.end()) return fact->second;
    remark(plan_, text_of(wanted), wanted.value ? profile_decides : "its value is not known here");
    return std::nullopt;
  }

  const RequestWish& wish_;
  RequestPlan& plan_;
  std::vector<NameAttribute> rest_;  ///< of the profile, not placed yet
  std::vector<NameAttribute> subject_;
  std::size_t added_ = 0;
};

/// A name without content is one that the client fills in (RFC 9908 3.4).
bool is_blank(const GENERAL_NAME& name) {
  switch (name.type) {
    case GEN_DNS:
    case GEN_URI:
    case GEN_EMAIL:
    case GEN_IPADD: return ASN1_STRING_length(name.d.ia5) == 0;
    default: return false;
  }
}

void plan_alternative(const GENERAL_NAME& name, const RequestWish& wish, RequestPlan& plan) {
  const auto& own = wish.names.alternatives;
  auto& asked = plan.csr.names.alternatives;
  const std::string wanted = "alternative name " + general_name_text(name);
  const auto alternative = alternative_of(name);
  if (alternative && is_blank(name)) {
    if (std::ranges::none_of(own, [&](const auto& each) { return each.kind == alternative->kind; }))
      remark(plan, wanted, "the profile has none of this kind");
    return;
  }
  if (!alternative || !encode_alternatives({*alternative})) {
    remark(plan, wanted, "it cannot be asked for");
    return;
  }
  const std::string text = alternative->text();
  if (std::ranges::any_of(asked, [&](const AlternativeName& each) { return each.text() == text; })) return;
  if (wish.name_policy == NamePolicy::exact)
    remark(plan, wanted, profile_decides);
  else if (asked.size() >= own.size() + most_added)
    remark(plan, wanted, "it is one of too many");
  else
    asked.push_back(*alternative);
}

}  // namespace

Error unmet(const std::string& reason) {
  return {.code = Errc::demand_unmet,
          .retry = Retry::after_operator,
          .what = "cannot ask for the certificate that the server wants",
          .reason = printable(reason),
          .hint = "change the profile, see devid.toml(5), or the CSR attributes in the EST server's configuration"};
}

Result<> plan_subject(const std::vector<SubjectAttributeTemplate>& wanted, const RequestWish& wish, RequestPlan& plan) {
  Subject subject(wish, plan);
  for (const SubjectAttributeTemplate& each : wanted)
    if (auto added = subject.add(each); !added) return added;
  plan.csr.names.subject = subject.take();
  return {};
}

Result<> plan_alternatives(const ExtensionTemplate& wanted, const RequestWish& wish, RequestPlan& plan) {
  plan.csr.critical_alternatives = wanted.critical;
  if (!wanted.value) {
    if (wish.names.alternatives.empty()) remark(plan, "an alternative name", "the profile has none");
    return {};
  }
  const auto names = decode<GENERAL_NAMES>(*wanted.value, ASN1_ITEM_rptr(GENERAL_NAMES),
                                           unmet("a subjectAltName that cannot be read"), Form::any);
  if (!names) return fail(unmet("it wants a subjectAltName that cannot be read: " + names.error().reason));
  for (int i = 0; i < sk_GENERAL_NAME_num(names->get()); ++i)
    plan_alternative(*sk_GENERAL_NAME_value(names->get(), i), wish, plan);
  return {};
}

}  // namespace devid::pki
