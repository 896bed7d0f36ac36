package authn

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// vouched is what the provider said of a person. It is kept with the session, so that a change of the mapping counts at once.
type vouched struct {
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub"`
	Email   string   `json:"email,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

// redeem exchanges the code and checks the ID token.
func (p *provider) redeem(ctx context.Context, login OIDCLogin, code string) (vouched, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return vouched{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	invalid := func(cause error) error {
		return oidcFault(OIDCInvalid, "The answer of the identity provider is not valid", cause)
	}
	token, err := d.oauth.Exchange(ctx, code, oauth2.VerifierOption(login.Verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// Its own text repeats the whole answer, which may have secrets in it.
		err = fmt.Errorf("token endpoint: status %d %s", refused.Response.StatusCode, refused.ErrorCode)
		if refused.Response.StatusCode < http.StatusInternalServerError {
			return vouched{}, oidcFault(OIDCRefused, "The identity provider refused the sign-in", err)
		}
	}
	if err != nil {
		return vouched{}, oidcFault(OIDCUnreachable, "The identity provider cannot be asked", err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" || len(raw) > maxIDToken {
		return vouched{}, invalid(errors.New("no id token of usable size"))
	}
	checked, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return vouched{}, invalid(err)
	}
	if subtle.ConstantTimeCompare([]byte(checked.Nonce), []byte(login.Nonce)) != 1 {
		return vouched{}, invalid(errors.New("the nonce is not the one of this login"))
	}
	if checked.AccessTokenHash != "" {
		if err := checked.VerifyAccessToken(token.AccessToken); err != nil {
			return vouched{}, invalid(err)
		}
	}
	claims := map[string]any{}
	if err := checked.Claims(&claims); err != nil {
		return vouched{}, invalid(err)
	}
	if azp, named := claims["azp"].(string); named && azp != p.settings.ClientID {
		return vouched{}, invalid(errors.New("the id token is for another client"))
	}
	if _, there := claimAt(claims, p.settings.RolesClaim); !there && d.provider.UserInfoEndpoint() != "" {
		if claims, err = p.userInfo(ctx, d, token, checked.Subject, claims); err != nil {
			return vouched{}, err
		}
	}
	return p.vouch(claims, checked.Subject)
}

// userInfo asks for the claims that are not in the ID token.
func (p *provider) userInfo(ctx context.Context, d *discovered, token *oauth2.Token, subject string, claims map[string]any) (map[string]any, error) {
	info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, oidcFault(OIDCUnreachable, "The identity provider cannot be asked", errors.New("the userinfo endpoint gave no usable answer"))
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil || info.Subject != subject {
		return nil, oidcFault(OIDCInvalid, "The answer of the identity provider is not valid", errors.New("userinfo is of somebody else"))
	}
	maps.Copy(more, claims) // what is signed counts first
	return more, nil
}

// vouch takes what we need out of the claims.
func (p *provider) vouch(claims map[string]any, subject string) (vouched, error) {
	v := vouched{Issuer: p.settings.Issuer, Subject: subject}
	plain := func(s string, limit int) bool {
		return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	}
	if !plain(subject, maxOIDCSubject) {
		return vouched{}, oidcFault(OIDCInvalid, "The answer of the identity provider is not valid", errors.New("the subject is not 1 to 255 visible characters"))
	}
	email, _ := claims["email"].(string)
	if verified, said := claims["email_verified"].(bool); plain(email, 254) && (verified || !said) {
		v.Email = email
	}
	value, _ := claimAt(claims, p.settings.RolesClaim)
	switch value := value.(type) {
	case string:
		v.Groups = []string{value}
	case []any:
		for _, one := range value {
			if group, ok := one.(string); ok && len(group) <= maxOIDCGroup && len(v.Groups) < maxOIDCGroups {
				v.Groups = append(v.Groups, group)
			}
		}
	}
	return v, nil
}

// claimAt follows a dotted path. A claim whose very name has dots, as those of some providers are addresses, is found first.
func claimAt(claims map[string]any, path string) (any, bool) {
	if v, ok := claims[path]; ok {
		return v, true
	}
	head, rest, nested := strings.Cut(path, ".")
	inner, ok := claims[head].(map[string]any)
	if !nested || !ok {
		return nil, false
	}
	return claimAt(inner, rest)
}

// principal maps groups to a role; ok is false for who has none.
func (p *provider) principal(v vouched) (Principal, bool) {
	role := p.settings.DefaultRole
	for _, candidate := range slices.Backward([]string{"admin", "operator", "viewer"}) {
		if slices.ContainsFunc(p.settings.Roles[candidate], func(g string) bool { return slices.Contains(v.Groups, g) }) {
			role = candidate
		}
	}
	raw, err := json.Marshal(v)
	if role == "" || err != nil {
		return Principal{}, false
	}
	return Principal{
		ID: OIDCPrefix + v.Subject, Email: v.Email, Role: role, Method: MethodNone,
		stamp: shortDigest("oidc", v.Issuer, v.Subject), identity: string(raw),
	}, true
}

// vouchedFor returns the principal of a session that an identity provider vouched for, with the role of now.
func (a *Authenticator) vouchedFor(identity string) (Principal, bool) {
	var v vouched
	p := a.oidc.Load()
	if p == nil || json.Unmarshal([]byte(identity), &v) != nil || v.Issuer != p.settings.Issuer {
		return Principal{}, false
	}
	return p.principal(v)
}
