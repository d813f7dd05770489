#pragma once

#include "agent/pki/request_plan.h"

namespace devid::pki {

/// demand_unmet: what the server wants, and what the profile says to it.
Error unmet(const std::string& reason);

/// Gives the plan its subject: the attributes in the order of the template, then those that only the profile names.
Result<> plan_subject(const std::vector<SubjectAttributeTemplate>& wanted, const RequestWish& wish, RequestPlan& plan);

/// Adds to the plan's alternative names what a subjectAltName names that is wanted.
Result<> plan_alternatives(const ExtensionTemplate& wanted, const RequestWish& wish, RequestPlan& plan);

}  // namespace devid::pki
